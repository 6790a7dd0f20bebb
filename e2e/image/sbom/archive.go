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

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// Archive returns the bill of materials of files that are published together,
// of which those that may be executed are Go programs.
func Archive(name, version string, created time.Time, files []oci.File) (*Document, error) {
	whole := Component{Type: "application", Ref: "archive:" + name, Name: name, Version: version}
	d := &Document{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6",
		Version: 1, Metadata: Metadata{Timestamp: created.UTC().Format(time.RFC3339), Component: whole},
	}
	content, parts := sha256.New(), []string{}
	content.Write([]byte(name))
	for _, f := range files {
		content.Write(f.Content)
		part := file("file", f)
		parts = append(parts, part.Ref)
		if f.Mode&0o111 == 0 {
			d.Components = append(d.Components, part)
			continue
		}
		info, err := buildinfo.Read(bytes.NewReader(f.Content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		part.Type, part.Version = "application", version
		libraries := modules(info)
		d.Components = append(append(d.Components, part), libraries...)
		d.Dependencies = append(d.Dependencies, Dependency{Ref: part.Ref, DependsOn: refs(libraries)})
	}
	d.Components = unique(d.Components)
	d.Dependencies = append([]Dependency{{Ref: whole.Ref, DependsOn: parts}}, d.Dependencies...)
	d.SerialNumber = serial(hex.EncodeToString(content.Sum(nil)))
	return d, nil
}

// unique keeps one of the components with one reference: programs share most of
// their modules.
func unique(components []Component) []Component {
	slices.SortStableFunc(components, func(a, b Component) int { return strings.Compare(a.Ref, b.Ref) })
	return slices.CompactFunc(components, func(a, b Component) bool { return a.Ref == b.Ref })
}
