package nodegroup

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const templateFile = "../../config/nodegroup/template.yaml"

// stack is the template as CloudFormation would make it for some parameters.
type stack struct {
	t         *testing.T
	template  map[string]any
	values    map[string]string
	resources map[string]map[string]any
	// after says for each resource which ones are made before it.
	after map[string][]string
	now   string // the resource that is being resolved
}

// parameters are those of a group with two networks, without those that have a
// default.
func parameters() map[string]string {
	return map[string]string{
		"ClusterName": "telco", "NodeGroupName": "upf", "ApiServerEndpoint": "https://example.eks.amazonaws.com",
		"CertificateAuthority": "QUJD", "ServiceCidr": "172.20.0.0/16", "Subnets": "subnet-a1,subnet-b1", "NodeSecurityGroups": "sg-1",
		"Networks":     `[{"name":"n3","subnets":["subnet-a3","subnet-b3"],"securityGroups":["sg-3"]},{"name":"n6","subnets":["subnet-a6"],"securityGroups":["sg-3"]}]`,
		"NetworkCount": "2", "NetworkSubnets": "subnet-a3,subnet-b3,subnet-a6", "NetworkSecurityGroups": "sg-3,sg-6",
		"CodeBucket": "code", "CodeKey": "v1.zip",
	}
}

// made makes the stack, with further parameters as NAME=VALUE.
func made(t *testing.T, more ...string) *stack {
	t.Helper()
	values := parameters()
	for _, entry := range more {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	s := &stack{t: t, template: readTemplate(t), values: values, resources: map[string]map[string]any{}, after: map[string][]string{}}
	for name, declaration := range object(s.template["Parameters"]) {
		fallback, ok := object(declaration)["Default"]
		if _, given := s.values[name]; !given {
			if !ok {
				t.Fatalf("the parameter %s has no default: it is missing in the test", name)
			}
			s.values[name] = fmt.Sprint(fallback)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object(s.template["Resources"]))) {
		if s.exists(name) {
			s.now = name
			resource := object(object(s.template["Resources"])[name])
			for _, other := range list(resource["DependsOn"]) {
				s.needs(str(other))
			}
			s.resources[name] = object(s.resolve(resource))
		}
	}
	return s
}

func readTemplate(t *testing.T) map[string]any {
	t.Helper()
	data, err := os.ReadFile(templateFile)
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		t.Fatal(err)
	}
	return object(decode(node.Content[0]))
}

// decode reads YAML with CloudFormation's short forms of functions.
func decode(node *yaml.Node) any {
	var value any
	switch node.Kind {
	case yaml.MappingNode:
		fields := map[string]any{}
		for i := 0; i < len(node.Content); i += 2 {
			fields[node.Content[i].Value] = decode(node.Content[i+1])
		}
		value = fields
	case yaml.SequenceNode:
		items := []any{}
		for _, item := range node.Content {
			items = append(items, decode(item))
		}
		value = items
	default:
		value = node.Value
	}
	switch tag := strings.TrimPrefix(node.Tag, "!"); {
	case strings.HasPrefix(node.Tag, "!!"):
		return value
	case tag == "Ref" || tag == "Condition":
		return map[string]any{tag: value}
	case tag == "GetAtt":
		resource, attribute, _ := strings.Cut(node.Value, ".")
		return map[string]any{"Fn::GetAtt": []any{resource, attribute}}
	default:
		return map[string]any{"Fn::" + tag: value}
	}
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func str(v any) string { s, _ := v.(string); return s }

func list(v any) []any { l, _ := v.([]any); return l }

// noValue is AWS::NoValue: what holds it is left out.
type noValue struct{}

// resolve replaces functions by what they yield.
func (s *stack) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, item := range v {
			if item = s.resolve(item); item != (noValue{}) {
				out = append(out, item)
			}
		}
		return out
	case map[string]any:
		for name, argument := range v {
			if len(v) == 1 && (name == "Ref" || name == "Condition" && argument != nil && object(argument) == nil || strings.HasPrefix(name, "Fn::")) {
				return s.call(strings.TrimPrefix(name, "Fn::"), argument)
			}
		}
		out := map[string]any{}
		for name, item := range v {
			if item = s.resolve(item); item != (noValue{}) {
				out[name] = item
			}
		}
		return out
	}
	return v
}

func (s *stack) call(function string, argument any) any {
	s.t.Helper()
	switch function {
	case "Ref":
		return s.ref(str(argument))
	case "Condition":
		return s.holds(str(argument))
	case "If":
		a := list(argument)
		if s.holds(str(a[0])) {
			return s.resolve(a[1])
		}
		return s.resolve(a[2])
	case "Sub":
		return s.sub(argument)
	}
	a := list(s.resolve(argument))
	switch function {
	case "GetAtt":
		s.needs(str(a[0]))
		return "<" + str(a[0]) + "." + str(a[1]) + ">"
	case "Equals":
		return a[0] == a[1]
	case "Not":
		return a[0] != true
	case "And":
		return !slices.Contains(a, any(false))
	case "Select":
		var i int
		_, _ = fmt.Sscan(str(a[0]), &i)
		return list(a[1])[i]
	case "Split":
		return words(str(a[1]), str(a[0]))
	case "Join":
		var parts []string
		for _, item := range list(a[1]) {
			parts = append(parts, str(item))
		}
		return strings.Join(parts, str(a[0]))
	case "FindInMap":
		return object(object(object(s.template["Mappings"])[str(a[0])])[str(a[1])])[str(a[2])]
	case "Base64":
		return "base64 of " + str(s.resolve(argument))
	}
	s.t.Fatalf("%s is not a function of this test", function)
	return nil
}

func words(text, separator string) []any {
	out := []any{}
	for word := range strings.SplitSeq(text, separator) {
		out = append(out, word)
	}
	return out
}

func (s *stack) ref(name string) any {
	s.t.Helper()
	switch name {
	case "AWS::NoValue":
		return noValue{}
	case "AWS::Partition":
		return "aws"
	case "AWS::Region":
		return "us-west-2"
	case "AWS::AccountId":
		return "111122223333"
	}
	if parameter := object(object(s.template["Parameters"])[name]); parameter != nil {
		if kind := str(parameter["Type"]); kind == "CommaDelimitedList" || strings.HasPrefix(kind, "List<") {
			return words(s.values[name], ",")
		}
		return s.values[name]
	}
	s.needs(name)
	return "<" + name + ">"
}

// needs records that the resource uses another one, which must exist.
func (s *stack) needs(name string) {
	s.t.Helper()
	if !s.exists(name) {
		s.t.Fatalf("%s refers to %s, which is not there", s.now, name)
	}
	s.after[s.now] = append(s.after[s.now], name)
}

func (s *stack) exists(name string) bool {
	resource := object(object(s.template["Resources"])[name])
	condition, ok := resource["Condition"].(string)
	return resource != nil && (!ok || s.holds(condition))
}

func (s *stack) holds(condition string) bool {
	s.t.Helper()
	expression, ok := object(s.template["Conditions"])[condition]
	if !ok {
		s.t.Fatalf("there is no condition %s", condition)
	}
	return s.resolve(expression) == true
}

var reference = regexp.MustCompile(`\$\{(!?)([^}]*)\}`)

// sub is Fn::Sub.
func (s *stack) sub(argument any) string {
	s.t.Helper()
	text, variables := argument, map[string]any{}
	if pair := list(argument); pair != nil {
		text, variables = pair[0], object(pair[1])
	}
	return reference.ReplaceAllStringFunc(str(text), func(found string) string {
		m := reference.FindStringSubmatch(found)
		switch value, ok := variables[m[2]]; {
		case m[1] == "!":
			return "${" + m[2] + "}"
		case ok:
			return str(s.resolve(value))
		case strings.Contains(m[2], ".") && !strings.HasPrefix(m[2], "AWS::"):
			name, attribute, _ := strings.Cut(m[2], ".")
			return str(s.call("GetAtt", []any{name, attribute}))
		default:
			return str(s.ref(m[2]))
		}
	})
}

// properties are those of a resource of the stack.
func (s *stack) properties(name string) map[string]any {
	s.t.Helper()
	if s.resources[name] == nil {
		s.t.Fatalf("there is no %s", name)
	}
	return object(s.resources[name]["Properties"])
}

// before reports whether a resource is made before another one, and so deleted
// after it.
func (s *stack) before(first, second string) bool {
	return slices.Contains(s.after[second], first) ||
		slices.ContainsFunc(s.after[second], func(between string) bool { return s.before(first, between) })
}
