package sbom

import (
	"runtime/debug"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
)

func TestModulesAreThoseLinked(t *testing.T) {
	got := modules(&debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "example.com/A/v2", Version: "v2.0.0+incompatible", Sum: "h1:a="},
		{Path: "example.com/replaced", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/by", Version: "v1.0.1", Sum: "h1:b="}},
	}})
	library := func(name, version, purl string, properties ...cdx.Property) cdx.Component {
		c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: purl, PackageURL: purl, Name: name, Version: version}
		if len(properties) > 0 {
			c.Properties = &properties
		}
		return c
	}
	want := []cdx.Component{
		library("stdlib", "1.26.8", "pkg:golang/stdlib@1.26.8"),
		library("example.com/A/v2", "v2.0.0+incompatible", "pkg:golang/example.com/A/v2@v2.0.0%2Bincompatible", cdx.Property{Name: "golang:h1", Value: "h1:a="}),
		library("example.com/by", "v1.0.1", "pkg:golang/example.com/by@v1.0.1", cdx.Property{Name: "golang:h1", Value: "h1:b="}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
}
