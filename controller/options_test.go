package controller_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/controller"
	"github.com/multus-ipmgr/multus-ipmgr/vpc"
)

func TestParseOptions(t *testing.T) {
	byID := controller.Options{
		Selection: vpc.Selection{IDs: []string{"subnet-a"}}, SyncInterval: time.Minute, Settle: 30 * time.Second,
		Namespace: "own", OpsAddress: ":8080", Version: "v1",
	}
	byTag := byID
	byTag.Selection = vpc.Selection{TagKey: "multus", TagValue: "a=b"}
	everything := controller.Options{
		Selection: vpc.Selection{IDs: []string{"subnet-a", "subnet-b"}}, SyncInterval: 10 * time.Second, Settle: 30 * time.Second,
		Namespace: "other", OpsAddress: "127.0.0.1:0", Kubeconfig: "/k", LogLevel: slog.LevelDebug, Version: "v1",
	}
	for _, c := range []struct {
		name      string
		arguments string
		namespace string
		want      controller.Options
		mistakes  []string
	}{
		{name: "subnets by id", arguments: "--subnets=subnet-a", namespace: "own", want: byID},
		{name: "subnets by tag, whose value may hold =", arguments: "--subnet-tag=multus=a=b", namespace: "own", want: byTag},
		{name: "everything", arguments: "--subnets=subnet-b,subnet-a,subnet-b --sync-interval=10s --namespace=other --ops-address=127.0.0.1:0 --kubeconfig=/k --log-level=debug",
			namespace: "own", want: everything},
		{name: "no subnets", namespace: "own", mistakes: []string{"--subnets or --subnet-tag is required"}},
		{name: "subnets twice", arguments: "--subnets=subnet-a --subnet-tag=a=b", namespace: "own", mistakes: []string{"exclude each other"}},
		{name: "no namespace", arguments: "--subnets=subnet-a", mistakes: []string{"--namespace is required where POD_NAMESPACE is not set"}},
		{name: "all mistakes at once", arguments: "--subnets=vpc-1 --sync-interval=10ms --log-level=loud more", mistakes: []string{
			`--subnets="vpc-1": "vpc-1": want ids such as`, `--sync-interval="10ms": want a duration of 1s or more`,
			`--log-level="loud": want debug, info, warn or error`, `["more"]: the controller takes flags only`, "--namespace is required"}},
		{name: "an interval that is none", arguments: "--subnets=subnet-a --sync-interval=often", namespace: "own", mistakes: []string{`--sync-interval="often"`}},
		{name: "a tag without value", arguments: "--subnet-tag=multus", namespace: "own", mistakes: []string{"want KEY=VALUE"}},
		{name: "a tag without key", arguments: "--subnet-tag==yes", namespace: "own", mistakes: []string{"want KEY=VALUE"}},
		{name: "an unknown flag", arguments: "--region=us-west-2", namespace: "own", mistakes: []string{"flag provided but not defined"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := controller.ParseOptions(strings.Fields(c.arguments), "v1", c.namespace, io.Discard)
			if len(c.mistakes) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("options (-want +got):\n%s", diff)
				}
				return
			}
			if err == nil {
				t.Fatal("no mistake was found")
			}
			for _, mistake := range c.mistakes {
				if !strings.Contains(err.Error(), mistake) {
					t.Errorf("%q is missing in\n%v", mistake, err)
				}
			}
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var help bytes.Buffer
	if _, err := controller.ParseOptions([]string{"--help"}, "v1", "own", &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, name := range []string{"-subnets", "-subnet-tag", "-sync-interval", "-namespace", "-ops-address", "-kubeconfig", "-log-level"} {
		if !strings.Contains(help.String(), name+" ") {
			t.Errorf("%s is missing in\n%s", name, help.String())
		}
	}
}
