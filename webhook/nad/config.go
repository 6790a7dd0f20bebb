package nad

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"
	"github.com/containernetworking/cni/pkg/version"
)

// Config is a CNI configuration: one plugin, or a list of plugins that are
// called in order.
type Config struct {
	Name    string   // may be empty: Multus then uses the NAD's name
	Plugins []Plugin // at least one
}

// Plugin is one CNI plugin of a configuration.
type Plugin struct {
	Type string // "ipvlan"
	IPAM string // "whereabouts"; empty when the plugin asks for no address
}

// plugin is the JSON of one plugin, as far as Plugin needs it.
type plugin struct {
	Type string `json:"type"`
	IPAM struct {
		Type string `json:"type"`
	} `json:"ipam"`
}

// document is a configuration before its plugins are read.
type document struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	CNIVersion string           `json:"cniVersion"`
	Plugins    *json.RawMessage `json:"plugins"`

	list     bool              // of plugins
	sections []json.RawMessage // one for each plugin, one at least
}

// Parse reads the CNI configuration of a NAD's spec.config. Configurations and
// lists without a name are accepted, as Multus accepts them. The error wraps
// ErrNoConfig when text is empty.
func Parse(text string) (Config, error) {
	_, config, err := parse(text)
	return config, err
}

// parse is Parse, and returns the document too. It is empty when err says that
// it cannot be taken apart.
func parse(text string) (document, Config, error) {
	file, err := parseDocument(text)
	if err != nil {
		return document{}, Config{}, err
	}
	config, err := file.config(text)
	return file, config, err
}

func (d *document) config(text string) (Config, error) {
	config := Config{Name: d.Name}
	for i, raw := range d.sections {
		p, err := parsePlugin(raw)
		if err != nil {
			return Config{}, fmt.Errorf("spec.config: plugin %d: %w", i+1, err)
		}
		config.Plugins = append(config.Plugins, p)
	}
	if err := d.judge(text); err != nil {
		return Config{}, err
	}
	return config, nil
}

// field is where the section of a plugin is.
func (d *document) field(i int) string {
	if d.list {
		return fmt.Sprintf("spec.config.plugins[%d]", i)
	}
	return "spec.config"
}

// judge lets CNI's own types and rules read the text, as Multus does: they know
// of fields that mean nothing to us.
func (d *document) judge(text string) error {
	var into any = new(types.PluginConf)
	if d.list {
		into = new(types.NetConfList)
	}
	if err := decode(json.RawMessage(text), into); err != nil {
		return fmt.Errorf("spec.config is not a CNI configuration: %w", describe(err))
	}
	var keys map[string]json.RawMessage // as they are written
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		return fmt.Errorf("spec.config is not a CNI configuration: %w", describe(err))
	}
	// Without one, Multus puts the NAD's name in.
	if name := string(keys["name"]); name != "" && name != `""` && utils.ValidateNetworkName(d.Name) != nil {
		return fmt.Errorf("spec.config.name: %s is not a name that CNI takes (letters, digits, dashes, dots and underscores); remove it, and Multus uses the NAD's name", name)
	}
	if !d.list {
		return nil
	}
	return listRules(keys)
}

// listRules are those of the CNI library (libcni, NetworkConfFromBytes) for what
// only lists have.
func listRules(keys map[string]json.RawMessage) error {
	if raw, ok := keys["loadOnlyInlinedPlugins"]; ok {
		var text string
		var yes bool
		if json.Unmarshal(raw, &yes) != nil && json.Unmarshal(raw, &text) != nil || string(raw) == "null" ||
			text != "" && !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") || string(raw) == `""` {
			return fmt.Errorf("spec.config.loadOnlyInlinedPlugins: %s is neither true nor false", raw)
		}
	}
	if raw, ok := keys["cniVersion"]; ok && string(raw) == "null" {
		return errors.New("spec.config.cniVersion is null; want a string such as \"0.3.1\"")
	}
	_, err := newest(keys)
	return err
}

// newest is the version that the CNI library asks the plugins of a list for: the
// newest that it knows of cniVersions and cniVersion.
func newest(keys map[string]json.RawMessage) (string, error) {
	var single string
	_ = json.Unmarshal(keys["cniVersion"], &single) // which has been judged, or is not there
	raw, ok := keys["cniVersions"]
	if !ok {
		return single, nil
	}
	var list []any
	if err := json.Unmarshal(raw, &list); err != nil || string(raw) == "null" {
		return "", errors.New("spec.config.cniVersions is not a list")
	}
	if single != "" {
		list = append(list, single)
	}
	best := ""
	for _, item := range list {
		v, isText := item.(string)
		unknown, err := version.GreaterThan(v, version.Current())
		switch {
		case !isText || err != nil:
			return "", fmt.Errorf("spec.config.cniVersions: %v is not a version such as \"0.3.1\"", item)
		case unknown: // passed over
		default:
			if newer, _ := version.GreaterThan(v, cmp.Or(best, "0.0.0")); newer {
				best = v
			}
		}
	}
	return cmp.Or(best, single), nil
}

func parseDocument(text string) (document, error) {
	switch {
	case len(text) > MaxConfig:
		return document{}, fmt.Errorf("spec.config %w: it has %d bytes, and at most %d are read", ErrTooLarge, len(text), MaxConfig)
	case text == "": // of blanks, Multus says that they are not JSON
		return document{}, ErrNoConfig
	}
	var file document
	if err := decode(json.RawMessage(text), &file); err != nil {
		return document{}, fmt.Errorf("spec.config is not a CNI configuration: %w", describe(err))
	}
	file.sections = []json.RawMessage{json.RawMessage(text)}
	// To Multus, a configuration with a type is one plugin whatever else it holds.
	if file.list = file.Plugins != nil && file.Type == ""; file.list {
		if err := json.Unmarshal(*file.Plugins, &file.sections); err != nil {
			return document{}, errors.New("spec.config: plugins is not a list")
		}
	}
	if len(file.sections) == 0 {
		return document{}, errors.New("spec.config: plugins is empty; want at least one plugin")
	}
	if len(file.sections) > MaxPlugins {
		return document{}, fmt.Errorf("spec.config %w: it lists %d plugins, and at most %d are read", ErrTooLarge, len(file.sections), MaxPlugins)
	}
	if file.list {
		var keys map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &keys); err == nil {
			file.CNIVersion, _ = newest(keys) // judge says what is wrong
		}
	}
	return file, nil
}

func parsePlugin(raw json.RawMessage) (Plugin, error) {
	var p plugin
	if bytes.Equal(raw, []byte("null")) {
		return Plugin{}, errors.New("is null; want an object")
	}
	if err := decode(raw, &p); err != nil {
		return Plugin{}, describe(err)
	}
	if p.Type == "" {
		return Plugin{}, errors.New("has no type; want the name of a CNI plugin such as \"ipvlan\"")
	}
	return Plugin{Type: p.Type, IPAM: p.IPAM.Type}, nil
}
