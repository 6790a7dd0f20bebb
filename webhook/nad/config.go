package nad

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
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

// Parse reads the CNI configuration of a NAD's spec.config. Configurations and
// lists without a name are accepted, as Multus accepts them. The error wraps
// ErrNoConfig when text is empty.
func Parse(text string) (Config, error) {
	file, err := parseDocument(text)
	if err != nil {
		return Config{}, err
	}
	config := Config{Name: file.Name}
	for i, raw := range file.sections {
		p, err := parsePlugin(raw)
		if err != nil {
			return Config{}, fmt.Errorf("spec.config: plugin %d: %w", i+1, err)
		}
		config.Plugins = append(config.Plugins, p)
	}
	if err := file.judge(text); err != nil {
		return Config{}, err
	}
	return config, nil
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

// judge lets CNI's own types read the text, as Multus does: they know of fields
// that mean nothing to us.
func (d document) judge(text string) error {
	var into any = new(types.PluginConf)
	if d.list {
		into = new(types.NetConfList)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("spec.config is no CNI configuration: %w", describe(err))
	}
	return nil
}

func parseDocument(text string) (document, error) {
	if strings.TrimSpace(text) == "" {
		return document{}, ErrNoConfig
	}
	var file document
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return document{}, fmt.Errorf("spec.config is no CNI configuration: %w", describe(err))
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
	return file, nil
}

func parsePlugin(raw json.RawMessage) (Plugin, error) {
	var p plugin
	if bytes.Equal(raw, []byte("null")) {
		return Plugin{}, errors.New("is null; want an object")
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return Plugin{}, describe(err)
	}
	if p.Type == "" {
		return Plugin{}, errors.New("has no type; want the name of a CNI plugin such as \"ipvlan\"")
	}
	return Plugin{Type: p.Type, IPAM: p.IPAM.Type}, nil
}

// describe turns an error of encoding/json into words that name no Go type.
func describe(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at character %d: %w", syntax.Offset, err)
	}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) && mismatch.Field != "" {
		return fmt.Errorf("field %q is a JSON %s; want %s", mismatch.Field, mismatch.Value, jsonName(mismatch.Type))
	}
	if errors.As(err, &mismatch) {
		return fmt.Errorf("is a JSON %s; want %s", mismatch.Value, jsonName(mismatch.Type))
	}
	return err
}
