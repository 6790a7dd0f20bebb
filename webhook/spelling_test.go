package webhook

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// oneLabel is a namespace in JSON with one label.
func oneLabel(name, key, value string) string {
	return fmt.Sprintf(`{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":%q,"resourceVersion":"6","labels":{%q:%q,"kubernetes.io/metadata.name":%[1]q}}}`, name, key, value)
}

// The API server sends the webhook nothing of a namespace whose label is
// misspelt: it has to find such ones in its cache.
func TestMisspeltKeysOfNamespacesAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes, events := io.Pipe()
		cluster := served{nadsPath: list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinitionList"), "/api/v1/namespaces": list("meta.k8s.io/v1", "PartialObjectMetadataList",
			oneLabel("right", "multus-ipmgr.io/inject", "enabled"),
			oneLabel("foreign", "example.com/inject", "enabled"),
			oneLabel("key", "multus-ipmgr.io/injct", "enabled"),
			oneLabel("value", "multus-ipmgr.io/inject", "enable"),
			oneLabel("domain", "mutlus-ipmgr.io/inject", "enabled"),
			`{"metadata":{"name":"annotation","annotations":{"ipmgr.io/mode":"sidecar"}}}`)}
		c := cachesOf(t, func(r *http.Request) (int, io.Reader) {
			if query := r.URL.Query(); r.URL.Path == "/api/v1/namespaces" && query.Get("watch") != "" && query.Get("sendInitialEvents") == "" {
				return http.StatusOK, changes
			}
			return cluster.answer(r)
		})
		var log bytes.Buffer
		c.spelling.log = slog.New(slog.NewTextHandler(&log, nil))
		follow(t, c)
		t.Cleanup(func() { _ = events.Close() })
		step := func(name, event string, count int, says string) {
			t.Helper()
			log.Reset()
			if event != "" {
				_, _ = io.WriteString(events, event)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if got := c.misspelt(); got != count {
				t.Errorf("%s: %d namespaces, want %d", name, got, count)
			}
			if lines := strings.Count(log.String(), "\n"); says == "" && lines > 0 || says != "" && (lines != 1 || !strings.Contains(log.String(), says)) {
				t.Errorf("%s: log %q, want one line with %q", name, log.String(), says)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, want := range []string{
			`namespace=key findings="[label multus-ipmgr.io/injct has no meaning; multus-ipmgr.io/inject is probably meant]"`,
			`namespace=value findings="[label multus-ipmgr.io/inject=\"enable\" has no meaning;`,
			`namespace=domain findings="[label mutlus-ipmgr.io/inject has no meaning; multus-ipmgr.io/inject is probably meant]"`,
			`namespace=annotation findings="[annotation ipmgr.io/mode has no meaning; multus-ipmgr.io/mode is probably meant]"`,
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log does not have %s once:\n%s", want, log.String())
			}
		}
		change := func(kind, object string) string { return fmt.Sprintf(`{"type":%q,"object":%s}`+"\n", kind, object) }
		log.Reset()
		step("nothing happens", "", 4, "")
		step("another label comes", change("MODIFIED", strings.Replace(oneLabel("key", "multus-ipmgr.io/injct", "enabled"), `"labels":{`, `"labels":{"a":"b",`, 1)), 4, "")
		step("another mistake is made", change("MODIFIED", oneLabel("key", "multus-ipmgr.io/injekt", "enabled")), 4, "injekt")
		step("it is put right", change("MODIFIED", oneLabel("key", "multus-ipmgr.io/inject", "enabled")), 3, "")
		step("a right one becomes wrong", change("MODIFIED", oneLabel("right", "multus-ipmgr.io/inject", "enabld")), 4, "namespace=right")
		step("a wrong one goes", change("DELETED", oneLabel("value", "multus-ipmgr.io/inject", "enable")), 3, "")
		step("one comes", change("ADDED", oneLabel("new", "multus-ipmgr/inject", "enabled")), 4, "namespace=new")
	})
}

// A user who may create namespaces may create many, and change them often.
func TestLinesAboutMisspeltKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSpelling(slog.New(slog.NewTextHandler(&log, nil)))
		made := func(i int, key string) *metav1.PartialObjectMetadata {
			o := newNamespace()
			o.Name, o.Labels = fmt.Sprint("ns", i), map[string]string{key: "enabled"}
			return o
		}
		const crowd = 10_000
		handler := s.handler()
		for i := range crowd {
			handler.OnAdd(made(i, "multus-ipmgr.io/injct"), true)
		}
		for i := range crowd {
			handler.OnUpdate(made(i, "multus-ipmgr.io/injct"), made(i, "multus-ipmgr.io/injeckt"))
		}
		if lines := strings.Count(log.String(), "\n"); lines != spellingBurst || s.misspelt() != crowd {
			t.Errorf("%d lines and %d namespaces, want %d and %d", lines, s.misspelt(), spellingBurst, crowd)
		}
		log.Reset()
		time.Sleep(spellingEvery)
		handler.OnAdd(made(crowd, "multus-ipmgr.io/injct"), false)
		if want := fmt.Sprintf("namespace=ns%d ", crowd); !strings.Contains(log.String(), want) || !strings.Contains(log.String(), fmt.Sprintf("omitted=%d\n", 2*crowd-spellingBurst)) {
			t.Errorf("log %q", log.String())
		}
		for i := range crowd + 1 {
			handler.OnDelete(made(i, "multus-ipmgr.io/injct"))
		}
		if s.misspelt() != 0 {
			t.Errorf("%d namespaces are left", s.misspelt())
		}
	})
}

func TestACacheKeepsOfANamespaceWhatIsOurs(t *testing.T) {
	o := newNamespace()
	o.Name, o.ResourceVersion = "apps", "7"
	o.Labels = map[string]string{inject.InjectLabel: inject.Enabled, "team": "core", "multus-ipmgr.io/validat": "warn"}
	o.Annotations = map[string]string{inject.ModeAnnotation: "sidecar", "long": strings.Repeat("x", 1000)}
	for range 2 { // lists are reduced, and what is stored of them
		if _, err := reduceNamespace(o); err != nil {
			t.Fatal(err)
		}
	}
	got := namespaceOf(o)
	if len(got.Labels) != 2 || got.Labels[inject.InjectLabel] != inject.Enabled || len(got.Annotations) != 1 || got.Annotations[inject.ModeAnnotation] != "sidecar" || o.ResourceVersion != "7" {
		t.Errorf("kept %+v", o)
	}
}

func TestMisspeltNamespacesAreAMetric(t *testing.T) {
	s := serve(t, &memory{misspeltNamespaces: 3})
	if _, metrics := s.get(t, "/metrics"); !strings.Contains(metrics, "\nmultus_ipmgr_misspelt_namespaces 3\n") {
		t.Errorf("metrics lack the misspelt namespaces:\n%s", metrics)
	}
}
