package sbom

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModulesAreThoseLinked(t *testing.T) {
	got := modules(&debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "example.com/A/v2", Version: "v2.0.0+incompatible", Sum: "h1:a="},
		{Path: "example.com/replaced", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/by", Version: "v1.0.1", Sum: "h1:b="}},
	}})
	library := func(name, version, purl string, properties ...Property) Component {
		return Component{Type: "library", Ref: purl, PURL: purl, Name: name, Version: version, Properties: properties}
	}
	want := []Component{
		library("stdlib", "1.26.8", "pkg:golang/stdlib@1.26.8"),
		library("example.com/A/v2", "v2.0.0+incompatible", "pkg:golang/example.com/A/v2@v2.0.0%2Bincompatible", Property{"golang:h1", "h1:a="}),
		library("example.com/by", "v1.0.1", "pkg:golang/example.com/by@v1.0.1", Property{"golang:h1", "h1:b="}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
}
