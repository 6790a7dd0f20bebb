package docs

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// judge says what is wrong with the arguments of a program that examples use.
type judge func(r repository, arguments []string) []string

// judges are those of all programs that examples may use.
func judges() map[string]judge {
	known := func(repository, []string) []string { return nil }
	all := map[string]judge{
		"make": judgeMake, "go": judgeGo, "helm": judgeHelm, "kubectl": judgeKubectl, "kubectl-ipmgr": judgePlugin, "aws": judgeAWS,
		"webhook": judgeServer("webhook"), "controller": judgeServer("controller"),
	}
	for name := range strings.FieldsSeq("git cd export cat apt-get curl cosign sha256sum tar install echo tcpdump docker eksctl " +
		"tee jq sed grep while sleep unset source yum systemctl ip mkdir ls test true oras crane skopeo exit .ci/run bin/vpcsim ctr base64") {
		all[name] = known
	}
	return all
}

// judgeScript says what is wrong with a script.
func (r repository) judgeScript(script string) []string {
	var problems []string
	known := judges()
	for _, words := range Commands(script) {
		judge, ok := known[words[0]]
		if !ok {
			problems = append(problems, words[0]+": a program that the test does not know")
			continue
		}
		for _, problem := range judge(r, words[1:]) {
			problems = append(problems, strings.Join(words, " ")+": "+problem)
		}
		for _, word := range words[1:] {
			word = strings.TrimPrefix(word, "file://")
			if repositoryPath.MatchString(strings.TrimPrefix(word, "./")) && !exists(word) {
				problems = append(problems, "there is no "+word)
			}
		}
	}
	return problems
}

func judgeMake(r repository, arguments []string) []string {
	var problems []string
	for _, argument := range arguments {
		name, _, sets := strings.Cut(argument, "=")
		if sets && !r.variables[name] || !sets && !r.targets[name] {
			problems = append(problems, "the Makefile has no "+name)
		}
	}
	return problems
}

// judgeGo looks at the directories and packages that go is to work on.
func judgeGo(_ repository, arguments []string) []string {
	dir := "."
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		switch {
		case argument == "-C" && i+1 < len(arguments):
			dir = arguments[i+1]
			i++
		case strings.HasPrefix(argument, "./") || argument == ".":
			if name := dir + "/" + strings.TrimSuffix(argument, "..."); !exists(name) {
				return []string{"there is no " + name}
			}
			return nil // what follows are the program's arguments
		}
	}
	if !exists(dir + "/go.mod") {
		return []string{"there is no module " + dir}
	}
	return nil
}

var helmFlags = map[string]bool{
	"--namespace": true, "-n": true, "--create-namespace": true, "--set": true, "--values": true, "-f": true, "--version": true,
	"--wait": true, "--timeout": true, "--reuse-values": true, "--reset-then-reuse-values": true, "--install": true, "--set-file": true,
	"--repo": true, "--set-string": true,
}

// judgeHelm looks at flags and at the values that are set.
func judgeHelm(r repository, arguments []string) []string {
	var problems []string
	ours := strings.Contains(strings.Join(arguments, " "), "multus-ipmgr")
	for i, argument := range arguments {
		flag, _, _ := strings.Cut(argument, "=")
		if strings.HasPrefix(flag, "-") && !helmFlags[flag] {
			problems = append(problems, "helm's flag "+flag+" is not known to the test")
		}
		if strings.HasPrefix(flag, "--set") && ours && i+1 < len(arguments) {
			if name, _, _ := strings.Cut(arguments[i+1], "="); !r.hasValue(name) {
				problems = append(problems, "the chart has no value "+name)
			}
		}
	}
	return problems
}

var kubectlCommands = map[string]bool{
	"apply": true, "label": true, "annotate": true, "get": true, "describe": true, "logs": true, "rollout": true, "create": true,
	"delete": true, "wait": true, "exec": true, "events": true, "patch": true, "edit": true, "auth": true, "version": true, "debug": true,
	"drain": true, "kustomize": true, "scale": true, "run": true, "set": true, "top": true, "explain": true, "taint": true,
}

func judgeKubectl(r repository, arguments []string) []string {
	for i := 0; i < len(arguments); i++ {
		switch argument := arguments[i]; {
		case argument == "-n" || argument == "--context" || argument == "--namespace":
			i++
		case argument == "ipmgr":
			return judgePlugin(r, arguments[i+1:])
		case !kubectlCommands[argument]:
			return []string{"kubectl has no command " + argument}
		default:
			return nil
		}
	}
	return nil
}

// judgePlugin looks at the commands and flags of kubectl-ipmgr.
func judgePlugin(r repository, arguments []string) []string {
	if len(arguments) == 0 || slices.Contains([]string{"version", "help", "--version", "completion", "__complete"}, arguments[0]) {
		return nil
	}
	return r.judgeFlags("kubectl-ipmgr "+arguments[0], arguments[1:])
}

// judgeServer looks at the flags of a program that serves.
func judgeServer(name string) judge {
	return func(r repository, arguments []string) []string {
		if len(arguments) == 1 && arguments[0] == "--version" {
			return nil
		}
		return r.judgeFlags(name, arguments)
	}
}

func (r repository) judgeFlags(program string, arguments []string) []string {
	known, ok := r.flags[program]
	if !ok {
		return []string{"there is no " + program}
	}
	var problems []string
	for _, argument := range arguments {
		flag, _, _ := strings.Cut(argument, "=")
		if name := strings.TrimLeft(flag, "-"); strings.HasPrefix(flag, "-") && name != "" && !known[name] {
			problems = append(problems, program+" has no flag "+flag)
		}
	}
	return problems
}

// awsFlags are those of commands of other services than EC2.
var awsFlags = map[string]string{
	"cloudformation deploy":               "stack-name template-file capabilities parameter-overrides",
	"eks create-pod-identity-association": "cluster-name namespace service-account role-arn",
	"eks describe-cluster":                "name query output",
	"iam create-policy":                   "policy-name policy-document",
	"iam create-role":                     "role-name assume-role-policy-document",
	"iam attach-role-policy":              "role-name policy-arn",
	"iam put-role-policy":                 "role-name policy-name policy-document",
	"s3 cp":                               "",
	"sts get-caller-identity":             "",
}

// judgeAWS holds commands of EC2 against the SDK's operations.
func judgeAWS(_ repository, arguments []string) []string {
	if len(arguments) < 2 {
		return []string{"it names no command"}
	}
	known := map[string]bool{"region": true, "query": true, "output": true, "profile": true, "filters": true}
	flags, ok := awsFlags[arguments[0]+" "+arguments[1]]
	for name := range strings.FieldsSeq(flags) {
		known[name] = true
	}
	if arguments[0] == "ec2" {
		ok = operation(arguments[1], known)
	}
	if !ok {
		return []string{"aws has no command " + arguments[0] + " " + arguments[1]}
	}
	for _, argument := range arguments[2:] {
		name := strings.TrimPrefix(strings.TrimPrefix(argument, "--"), "no-")
		if strings.HasPrefix(argument, "--") && !known[name] {
			return []string{"it has no flag " + argument}
		}
	}
	return nil
}

// operation adds the parameters of an operation of EC2.
func operation(command string, parameters map[string]bool) bool {
	var name strings.Builder
	for part := range strings.SplitSeq(command, "-") {
		name.WriteString(strings.ToUpper(part[:min(1, len(part))]) + part[min(1, len(part)):])
	}
	method, ok := reflect.TypeFor[*ec2.Client]().MethodByName(name.String())
	if !ok {
		return false
	}
	for field := range method.Type.In(2).Elem().Fields() {
		var kebab strings.Builder
		for i, c := range field.Name {
			if c >= 'A' && c <= 'Z' && i > 0 {
				kebab.WriteByte('-')
			}
			kebab.WriteString(strings.ToLower(string(c)))
		}
		parameters[kebab.String()] = true
	}
	return true
}

func TestAMistakeInACommandIsFound(t *testing.T) {
	r := readRepository(t)
	for script, want := range map[string]string{
		"make nothing":                                 "the Makefile has no nothing",
		"make test COLOUR=red":                         "the Makefile has no COLOUR",
		"go run -C e2e/nothing .":                      "there is no e2e/nothing/.",
		"go run ./e2e/nothing":                         "there is no ./e2e/nothing",
		"helm install x multus-ipmgr --set a.b=c":      "the chart has no value a.b",
		"helm install x multus-ipmgr --wait --nothing": "flag --nothing",
		"kubectl ipmgr check --nothing":                "has no flag --nothing",
		"kubectl -n a ipmgr nothing":                   "there is no kubectl-ipmgr nothing",
		"kubectl nothing":                              "no command nothing",
		"webhook --nothing":                            "webhook has no flag --nothing",
		"aws ec2 nothing":                              "no command ec2 nothing",
		"aws ec2 describe-subnets --nothing x":         "no flag --nothing",
		"nothing":                                      "does not know",
		"kubectl apply -f config/nothing.yaml":         "there is no config/nothing.yaml",
		"make test; kubectl get nodes; aws ec2 create-subnet-cidr-reservation --subnet-id s --cidr c --reservation-type explicit": "",
	} {
		got := strings.Join(r.judgeScript(script), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}
