package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/programs"
)

// semantic is a version of semver.org, which Helm wants of charts.
var semantic = regexp.MustCompile(`^v?((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)$`)

// chartVersion is the chart's version for a version of the programs. One that
// is not a semantic version, such as a commit, comes before all that are.
func chartVersion(version string) string {
	if found := semantic.FindStringSubmatch(version); found != nil {
		return found[1]
	}
	clean := regexp.MustCompile(`[^0-9A-Za-z-]`).ReplaceAllString(version, "-")
	return "0.0.0-g" + clean
}

// chart packages the chart, whose images are those of this version. Helm
// writes the files' own times into the package, so it is packed again.
func (o order) chart(ctx context.Context) error {
	helm, err := programs.Build(ctx, o.progress, "helm")
	if err != nil {
		return err
	}
	version := chartVersion(o.version)
	home := []string{"HELM_CACHE_HOME=" + o.scratch, "HELM_CONFIG_HOME=" + o.scratch, "HELM_DATA_HOME=" + o.scratch}
	_, err = command(ctx, home, helm["helm"], "package", "charts/multus-ipmgr", "--destination", o.scratch,
		"--version", version, "--app-version", o.version)
	if err != nil {
		return err
	}
	name := "multus-ipmgr-" + version + ".tgz"
	data, err := os.ReadFile(filepath.Join(o.scratch, name))
	if err != nil {
		return err
	}
	files, err := unpack(data)
	if err != nil {
		return fmt.Errorf("what helm packaged: %w", err)
	}
	data, err = pack(files, o.epoch)
	if err != nil {
		return err
	}
	return os.WriteFile(o.path(name), data, 0o600)
}

// judgeChart has helm read and render the package, in which tests have no place.
func (o order) judgeChart(ctx context.Context) error {
	name := o.path("multus-ipmgr-" + chartVersion(o.version) + ".tgz")
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	files, err := unpack(data)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.Contains(f.Path, "/tests/") {
			return fmt.Errorf("%s holds %s: charts/multus-ipmgr/.helmignore must keep it out", name, f.Path)
		}
	}
	helm, err := programs.Build(ctx, o.progress, "helm")
	if err != nil {
		return err
	}
	text, err := command(ctx, nil, helm["helm"], "template", "release", name, "--namespace", "multus-ipmgr-system")
	if err != nil {
		return err
	}
	for _, image := range served {
		if want := "multus-ipmgr/" + image + ":" + o.version; !strings.Contains(text, want) {
			return fmt.Errorf("%s does not name the image %s", name, want)
		}
	}
	return nil
}
