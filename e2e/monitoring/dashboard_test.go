package monitoring_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dashboard is what the tests read of Grafana's format.
type dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID         int        `json:"id"`
	Type       string     `json:"type"`
	Title      string     `json:"title"`
	DataSource dataSource `json:"datasource"`
	Grid       struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Targets []struct {
		Expr       string     `json:"expr"`
		Legend     string     `json:"legendFormat"`
		DataSource dataSource `json:"datasource"`
	} `json:"targets"`
}

type dataSource struct{ Type, UID string }

const dashboardFile = chart + "/dashboards/multus-ipmgr.json"

func board(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// plain puts a duration in the place of Grafana's variable.
func plain(expr string) string { return strings.ReplaceAll(expr, "$__rate_interval", "5m") }

func TestDashboardAsksForWhatProgramsExpose(t *testing.T) {
	series, asked := exposed(t), map[string]bool{}
	for _, p := range board(t).Panels {
		for _, target := range p.Targets {
			found, err := faults(plain(target.Expr), series)
			if err != nil || len(found) > 0 {
				t.Errorf("%s: error %v, found %q in %s", p.Title, err, found, target.Expr)
			}
			for name := range series {
				asked[name] = asked[name] || regexp.MustCompile(`\b`+name+`\b`).MatchString(target.Expr)
			}
		}
	}
	for name := range series {
		if !asked[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("no panel shows %s", name)
		}
	}
}

func TestLegendsNameLabelsThatTheExpressionKeeps(t *testing.T) {
	word := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, p := range board(t).Panels {
		for _, target := range p.Targets {
			for _, label := range word.FindAllStringSubmatch(target.Legend, -1) {
				if !regexp.MustCompile(`by \([a-z_, ]*\b` + label[1] + `\b`).MatchString(target.Expr) {
					t.Errorf("%s: the legend names %s, and %s does not keep it", p.Title, label[1], target.Expr)
				}
			}
		}
	}
}

func TestPanelsAreInTheirPlaces(t *testing.T) {
	d := board(t)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is at %+v, where %q is or the page ends", p.Title, p.Grid, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if want := (dataSource{"prometheus", "${datasource}"}); target.DataSource != want || p.DataSource != want {
				t.Errorf("%s asks %+v, want the one that is chosen", p.Title, target.DataSource)
			}
		}
	}
	if v := d.Templating.List; len(v) != 1 || v[0].Name != "datasource" || v[0].Type != "datasource" || d.UID != "multus-ipmgr" {
		t.Errorf("uid %s, variables %+v", d.UID, v)
	}
}

func TestChartPutsTheDashboardWhereGrafanasSidecarLooks(t *testing.T) {
	o := render(t, "dashboard.yaml", "--set", "metrics.dashboard.enabled=true")
	if o.Metadata.Labels["grafana_dashboard"] != "1" {
		t.Errorf("labels %v", o.Metadata.Labels)
	}
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(data)), o.Data["multus-ipmgr.json"]); diff != "" {
		t.Errorf("the file and the ConfigMap (-file +rendered):\n%s", diff)
	}
}
