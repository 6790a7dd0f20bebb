package nad_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/multus-ipmgr/multus-ipmgr/ipmgr/spec"
	"github.com/multus-ipmgr/multus-ipmgr/webhook/nad"
)

// FuzzSelections looks for annotations that are accepted with names that no
// object or interface can have. Every interface must be one that the settings
// of ipmgr can name.
func FuzzSelections(f *testing.F) {
	for _, seed := range []string{
		"", "a", "ns/a@eth1, b", "a,,b", "a@b@c", "[]", "null", "[null]", `[{"name":"a","interface":"net1","ips":["10.1.1.5/24"]}]`,
		`[{"NAME":"a"}]`, `{"name":"a"}`, "a@\u00a0", `[{"name":"a","interface":"\u00a0x"}]`, `[{"name":"a","interface":"\u0000"}]`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		selections, err := nad.Selections("pod-ns", annotation)
		if err != nil {
			if len(selections) > 0 {
				t.Fatal("selections come with an error")
			}
			return
		}
		for _, s := range selections {
			if s.Name == "" || s.Namespace == "" || strings.ContainsFunc(s.Namespace+s.Name, unicode.IsUpper) {
				t.Errorf("%q selects %+v", annotation, s)
			}
			settings, err := spec.Parse([]string{spec.EnvInterfaces + "=" + s.Interface})
			if err != nil || len(settings.Interfaces) != 1 || settings.Interfaces[0] != s.Interface {
				t.Errorf("%q: ipmgr reads interface %q as %q: %v", annotation, s.Interface, settings.Interfaces, err)
			}
		}
	})
}

// FuzzParse looks for configurations that are accepted without a plugin.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"type":"ipvlan"}`, `{"plugins":[{"type":"ipvlan","ipam":{"type":"static"}}]}`, `{"plugins":null,"type":"a"}`, `[]`, `{"plugins":[1]}`, `{"type":1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := nad.Parse(text)
		if err == nil && (len(config.Plugins) == 0 || config.Plugins[0].Type == "") {
			t.Errorf("%q is a configuration without a plugin: %+v", text, config)
		}
		// A guess is always to manage.
		if network := nad.Read(nad.Definition{Config: text}); network.Problem != nil && !network.Managed {
			t.Errorf("%q cannot be read and is not managed", text)
		}
	})
}
