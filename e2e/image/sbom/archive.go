package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// Archive returns the bill of materials of files that are published together,
// of which those that may be executed are Go programs.
func Archive(name, version string, created time.Time, files []oci.File) (*Document, error) {
	whole := cdx.Component{Type: cdx.ComponentTypeApplication, BOMRef: "archive:" + name, Name: name, Version: version}
	var components []cdx.Component
	var dependencies []cdx.Dependency
	content, parts := sha256.New(), []string{}
	content.Write([]byte(name))
	for _, f := range files {
		content.Write(f.Content)
		part := file(cdx.ComponentTypeFile, f)
		parts = append(parts, part.BOMRef)
		if f.Mode&0o111 == 0 {
			components = append(components, part)
			continue
		}
		info, err := buildinfo.Read(bytes.NewReader(f.Content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		part.Type, part.Version = cdx.ComponentTypeApplication, version
		libraries := modules(info)
		components = append(append(components, part), libraries...)
		dependencies = append(dependencies, dependsOn(part, refs(libraries)))
	}
	d := newDocument(hex.EncodeToString(content.Sum(nil)), created, whole)
	d.lists(unique(components), append([]cdx.Dependency{dependsOn(whole, parts)}, dependencies...))
	return d, nil
}

// unique keeps one of the components with one reference: programs share most of
// their modules.
func unique(components []cdx.Component) []cdx.Component {
	slices.SortStableFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	return slices.CompactFunc(components, func(a, b cdx.Component) bool { return a.BOMRef == b.BOMRef })
}
