package nodegroup

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

const module = "../../config/nodegroup/terraform"

func TestTheTerraformModulePassesTheTemplateOn(t *testing.T) {
	data, err := os.ReadFile(module + "/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(data, []byte("\n")); lines > 60 {
		t.Errorf("%d lines; want at most 60", lines)
	}
	declared := object(readTemplate(t)["Parameters"])
	given := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +([A-Z]\w+) += `).FindAllSubmatch(data, -1) {
		name := string(m[1])
		given[name] = true
		if declared[name] == nil {
			t.Errorf("the template has no parameter %s", name)
		}
	}
	var left []string // which users give by name
	for name, declaration := range declared {
		if _, optional := object(declaration)["Default"]; !optional && !given[name] {
			left = append(left, name)
		}
	}
	for _, name := range left {
		if !bytes.Contains(data, []byte(name)) {
			t.Errorf("nothing says that %s must be given", name)
		}
	}
	for _, text := range []string{`file("${path.module}/../template.yaml")`, `"PodReservation${i + 1}" => "${r.subnet}=${r.cidr}"`, `["CAPABILITY_IAM"]`} {
		if !bytes.Contains(data, []byte(text)) {
			t.Errorf("the module has no %s", text)
		}
	}
}

func TestTheTerraformModuleIsFormatted(t *testing.T) {
	terraform, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed here: the form of the module is not judged")
	}
	if out, err := exec.CommandContext(t.Context(), terraform, "fmt", "-check", "-diff", module).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
