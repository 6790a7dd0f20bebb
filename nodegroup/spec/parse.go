package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The environment variables.
const (
	EnvName      = "NODEGROUP_NAME"
	EnvCluster   = "NODEGROUP_CLUSTER"
	EnvNetworks  = "NODEGROUP_NETWORKS"
	EnvHooks     = "NODEGROUP_HOOKS"
	EnvOnRefusal = "NODEGROUP_ON_REFUSAL"
	EnvBudget    = "NODEGROUP_BUDGET"
	EnvSweepAge  = "NODEGROUP_SWEEP_AGE"
	EnvLogLevel  = "NODEGROUP_LOG_LEVEL"
)

const (
	prefix = "NODEGROUP_"
	// MaxJSON bounds the list of networks, in bytes. The environment of a
	// function has 4 KB, a MultusNodeGroup somewhat more.
	MaxJSON = 256 << 10
	// MaxHooks bounds the names of hooks. A group may have 50.
	MaxHooks = 50
)

// Parse reads the settings from an environment in the form of os.Environ. All
// mistakes are reported at once, each with the variable and what is accepted.
func Parse(environ []string) (Settings, error) {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
			values[name] = strings.TrimSpace(value)
		}
	}
	s := Settings{OnRefusal: OnRefusalAuto, SweepAge: DefaultSweepAge}
	var errs []error
	for _, v := range variables() {
		value, set := values[v.name]
		delete(values, v.name)
		if !set && !v.required || value == "" && !v.required {
			continue
		}
		if err := v.parse(&s, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	for name := range values {
		errs = append(errs, fmt.Errorf("%s: no such setting", name))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if len(s.Hooks) == 0 {
		s.Hooks = []string{DefaultHook(s.Cluster, s.Name)}
	}
	return s, errors.Join(errs...)
}

// variable joins one environment variable to one field of Settings.
type variable struct {
	name     string
	required bool
	parse    func(s *Settings, value string) error
}

var (
	// groupName is part of the hook's name, in which AWS allows no dot.
	groupName   = regexp.MustCompile(`^[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?$`)
	clusterName = regexp.MustCompile(`^[A-Za-z0-9][-_A-Za-z0-9]*$`)
	hookName    = regexp.MustCompile(`^[-_/A-Za-z0-9]+$`)
)

func variables() []variable {
	return []variable{
		{EnvName, true, func(s *Settings, value string) error {
			s.Name = value
			return matches(value, groupName, 63, "letters, digits, '-' and '_'")
		}},
		{EnvCluster, true, func(s *Settings, value string) error {
			s.Cluster = value
			return matches(value, clusterName, 100, "letters, digits, '-' and '_'")
		}},
		{EnvNetworks, true, func(s *Settings, value string) (err error) {
			s.Networks, err = ParseNetworks([]byte(value))
			return err
		}},
		{EnvHooks, false, parseHooks},
		{EnvOnRefusal, false, func(s *Settings, value string) error {
			s.OnRefusal = OnRefusal(value)
			return oneOf(s.OnRefusal, OnRefusalAuto, OnRefusalHold, OnRefusalAbandon)
		}},
		{EnvBudget, false, parseDuration(time.Second, func(s *Settings) *time.Duration { return &s.Budget })},
		{EnvSweepAge, false, parseDuration(0, func(s *Settings) *time.Duration { return &s.SweepAge })},
		{EnvLogLevel, false, func(s *Settings, value string) error {
			levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
			level, ok := levels[strings.ToLower(value)]
			if !ok {
				return fmt.Errorf("%q; want debug, info, warn or error", value)
			}
			s.LogLevel = level
			return nil
		}},
	}
}

func parseHooks(s *Settings, value string) error {
	names := strings.Split(value, ",")
	if len(names) > MaxHooks {
		return fmt.Errorf("%d names; want at most %d", len(names), MaxHooks)
	}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if err := matches(name, hookName, 255, "letters, digits, '-', '_' and '/'"); err != nil {
			return err
		}
		s.Hooks = append(s.Hooks, name)
	}
	return nil
}

func parseDuration(least time.Duration, field func(*Settings) *time.Duration) func(*Settings, string) error {
	return func(s *Settings, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < least {
			return fmt.Errorf("%q; want a duration such as 90s, at least %v", value, least)
		}
		*field(s) = d
		return nil
	}
}

// ParseNetworks reads the JSON list of networks and completes it. Fields that
// have no meaning are mistakes: a misspelt one would be silently without
// effect.
func ParseNetworks(data []byte) ([]Network, error) {
	if len(data) > MaxJSON {
		return nil, fmt.Errorf("%d bytes; want at most %d", len(data), MaxJSON)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("want a JSON list of networks: %w", err)
	}
	if len(items) > MaxNetworks {
		return nil, fmt.Errorf("%d networks; want at most %d", len(items), MaxNetworks)
	}
	networks := make([]Network, len(items))
	var errs []error
	for i, item := range items {
		errs = append(errs, unknownFields(i, item)...)
		if err := json.NewDecoder(bytes.NewReader(item)).Decode(&networks[i]); err != nil {
			errs = append(errs, fmt.Errorf("network %d: %w", i+1, err))
		}
	}
	networks = WithDefaults(networks)
	if len(errs) == 0 {
		return networks, Validate(networks)
	}
	return networks, errors.Join(errs...)
}

// unknownFields reports the fields of a network that have no meaning.
func unknownFields(i int, item json.RawMessage) []error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil {
		return nil // which decoding it reports
	}
	var known []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Network]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known = append(known, name)
		delete(fields, name)
	}
	var errs []error
	for name := range fields {
		errs = append(errs, fmt.Errorf("network %d: %.40q is not a field; want one of %s", i+1, name, strings.Join(known, ", ")))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
