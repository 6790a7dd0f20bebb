// Package sbom writes the bill of materials of an image as CycloneDX 1.6 JSON
// (cyclonedx.org/docs/1.6/json).
//
// It is made of what is in the image, not of what should be: the modules are
// those that the Go linker wrote into the program. The same image gives the
// same document.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// Document is a bill of materials.
type Document struct{ cdx.BOM }

// newDocument returns the document of a component, which may have been made
// long ago.
func newDocument(id string, made time.Time, whole cdx.Component) *Document {
	d := &Document{*cdx.NewBOM()}
	d.SerialNumber = serial(id)
	d.Metadata = &cdx.Metadata{Timestamp: made.UTC().Format(time.RFC3339), Component: &whole}
	return d
}

// lists replaces what the document lists.
func (d *Document) lists(components []cdx.Component, dependencies []cdx.Dependency) {
	d.Components, d.Dependencies = &components, &dependencies
}

// Describe returns the bill of materials of an image whose program, at the
// root, has the image's name.
func Describe(name string, image *oci.Image) (*Document, error) {
	program, err := image.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(program.Content))
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", name, err)
	}
	whole := container(name, image)
	main := file(cdx.ComponentTypeApplication, program)
	main.Version = whole.Version
	libraries := modules(info)
	components, parts := append([]cdx.Component{main}, libraries...), []string{main.BOMRef}
	for _, f := range image.Files {
		if f.Mode.IsRegular() && f.Path != name {
			part := file(cdx.ComponentTypeFile, f)
			components, parts = append(components, part), append(parts, part.BOMRef)
		}
	}
	d := newDocument(image.Digest, image.Config.Created.Time, whole)
	d.lists(components, []cdx.Dependency{dependsOn(whole, parts), dependsOn(main, refs(libraries))})
	return d, nil
}

func dependsOn(c cdx.Component, refs []string) cdx.Dependency {
	return cdx.Dependency{Ref: c.BOMRef, Dependencies: &refs}
}

// JSON returns the document as it is published.
func (d *Document) JSON() ([]byte, error) {
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(&d.BOM, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

func container(name string, image *oci.Image) cdx.Component {
	purl := "pkg:oci/" + name + "@" + url.QueryEscape(image.Digest) + "?arch=" + image.Config.Architecture
	return cdx.Component{
		Type: cdx.ComponentTypeContainer, BOMRef: purl, Name: name, PackageURL: purl,
		Version: image.Config.Config.Labels["org.opencontainers.image.version"],
		Hashes:  sha256Hash(strings.TrimPrefix(image.Digest, "sha256:")),
	}
}

func sha256Hash(digits string) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digits}}
}

func file(kind cdx.ComponentType, f oci.File) cdx.Component {
	sum := sha256.Sum256(f.Content)
	return cdx.Component{
		Type: kind, BOMRef: "file:/" + f.Path, Name: "/" + f.Path,
		Hashes: sha256Hash(hex.EncodeToString(sum[:])),
	}
}

// modules lists the standard library and every module linked.
func modules(info *debug.BuildInfo) []cdx.Component {
	list := []cdx.Component{module("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, dependency := range info.Deps {
		if dependency.Replace != nil {
			dependency = dependency.Replace
		}
		list = append(list, module(dependency.Path, dependency.Version, dependency.Sum))
	}
	return list
}

func module(name, version, sum string) cdx.Component {
	segments := strings.Split(path.Clean(name), "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	purl := "pkg:golang/" + strings.Join(segments, "/") + "@" + url.QueryEscape(version)
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: name, Version: version, PackageURL: purl}
	if sum != "" {
		c.Properties = &[]cdx.Property{{Name: "golang:h1", Value: sum}}
	}
	return c
}

func refs(components []cdx.Component) []string {
	names := make([]string, 0, len(components))
	for _, c := range components {
		names = append(names, c.BOMRef)
	}
	slices.Sort(names)
	return names
}

// serial makes the document's UUID (RFC 9562, version 8) of the image's digest.
func serial(digest string) string {
	id := sha256.Sum256([]byte(digest))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// Modules counts the Go modules, the standard library among them.
func (d *Document) Modules() int {
	count := 0
	for _, c := range *d.Components {
		if c.Type == cdx.ComponentTypeLibrary {
			count++
		}
	}
	return count
}
