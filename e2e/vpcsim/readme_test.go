package vpcsim_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/autoscalingapi"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/ec2api"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/settings"
)

func TestTheReferenceNamesEverySettingAndAction(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(settings.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("README.md does not explain the setting %s", key)
		}
	}
	for _, action := range append(ec2api.Actions(), autoscalingapi.Actions()...) {
		if !strings.Contains(string(text), action) {
			t.Errorf("README.md does not name the action %s", action)
		}
	}
}
