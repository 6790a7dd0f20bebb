package config_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// called returns the EC2 actions that a package can call: those whose input it
// makes, and those behind the methods of vpc.Client that it calls. Tags in the
// input of another action need ec2:CreateTags besides.
func called(t *testing.T, dir string) []string {
	t.Helper()
	shared := map[string]map[string]bool{} // actions by method
	for range 2 {                          // a method may call another one
		for _, f := range functions(t, "../vpc") {
			shared[f.Name.Name] = actionsIn(f, shared)
		}
	}
	actions := map[string]bool{}
	for _, f := range functions(t, dir) {
		maps.Copy(actions, actionsIn(f, shared))
	}
	return slices.Sorted(maps.Keys(actions))
}

// functions parses the functions and methods of a package.
func functions(t *testing.T, dir string) []*ast.FuncDecl {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: files %q, error %v", dir, files, err)
	}
	var list []*ast.FuncDecl
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				list = append(list, f)
			}
		}
	}
	return list
}

// actionsIn returns the actions that a function calls, given those of methods.
func actionsIn(f *ast.FuncDecl, methods map[string]map[string]bool) map[string]bool {
	actions := map[string]bool{}
	ast.Inspect(f, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.CallExpr:
			if method, ok := n.Fun.(*ast.SelectorExpr); ok {
				maps.Copy(actions, methods[method.Sel.Name])
			}
		case *ast.SelectorExpr:
			action, input := strings.CutSuffix(n.Sel.Name, "Input")
			if of, ok := n.X.(*ast.Ident); ok && of.Name == "ec2" && input {
				actions["ec2:"+action] = true
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "TagSpecifications" {
				actions["ec2:CreateTags"] = true
			}
		}
		return true
	})
	return actions
}

// statement is one of a policy.
type statement struct {
	Sid       string
	Effect    string
	Action    words
	Resource  words
	Condition map[string]map[string]any
}

// words are a string or a list of them.
type words []string

func (w *words) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*[]string)(w)); err == nil {
		return nil
	}
	*w = words{""}
	return json.Unmarshal(data, &(*w)[0])
}

func policy(t *testing.T, name string) []statement {
	t.Helper()
	data, err := os.ReadFile("iam/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Version   string
		Statement []statement
	}
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if p.Version != "2012-10-17" {
		t.Errorf("%s: version %q", name, p.Version)
	}
	return p.Statement
}

func TestPoliciesAllowWhatIsCalledAndNothingElse(t *testing.T) {
	for name, dir := range map[string]string{"ipmgr.json": "../ipmgr/eni", "controller.json": "../controller/reservation"} {
		var allowed []string
		for _, s := range policy(t, name) {
			if s.Effect != "Allow" {
				t.Errorf("%s: %s has effect %s", name, s.Sid, s.Effect)
			}
			allowed = append(allowed, s.Action...)
		}
		slices.Sort(allowed)
		if diff := cmp.Diff(called(t, dir), allowed); diff != "" {
			t.Errorf("%s and %s (-called +allowed):\n%s", dir, name, diff)
		}
	}
	policies, err := filepath.Glob("iam/*.json")
	if err != nil || len(policies) != 2 {
		t.Errorf("policies %q, error %v: each needs a line above", policies, err)
	}
}

func TestPoliciesChangeWhatIsTaggedOnly(t *testing.T) {
	for _, name := range []string{"ipmgr.json", "controller.json"} {
		for _, s := range policy(t, name) {
			for _, action := range s.Action {
				read := strings.HasPrefix(action, "ec2:Describe") || strings.HasPrefix(action, "ec2:Get")
				// Reservations are made in subnets that are chosen by tag or id; who may
				// create objects that say so is Kubernetes's to decide.
				reservation := strings.HasSuffix(action, "SubnetCidrReservation")
				if !read && !reservation && (slices.Contains(s.Resource, "*") || len(s.Condition) == 0) {
					t.Errorf("%s: %s allows %s on %q under the condition %v", name, s.Sid, action, s.Resource, s.Condition)
				}
			}
		}
	}
	tag := policy(t, "ipmgr.json")[0].Condition["StringEquals"]["aws:ResourceTag/node.k8s.amazonaws.com/no_manage"]
	if tag != "true" {
		t.Errorf("addresses are assigned to ENIs with the tag %v", tag)
	}
}
