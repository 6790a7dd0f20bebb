package sbom_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/sbom"
)

// image holds this very test as its program, in which go test lists no modules.
func image(t *testing.T) *oci.Image {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &oci.Image{Digest: "sha256:00ff", Files: []oci.File{
		{Path: "etc/ca.crt", Mode: 0o644, Content: []byte("CA")},
		{Path: "program", Mode: 0o755, Content: program},
	}}
}

func TestBillListsTheProgramAndFiles(t *testing.T) {
	document, err := sbom.Describe("program", image(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range *document.Components {
		names = append(names, string(c.Type)+" "+c.Name)
	}
	want := []string{"application /program", "library stdlib", "file /etc/ca.crt"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
	// Every reference leads to a component, or consumers refuse the document.
	known := []string{document.Metadata.Component.BOMRef}
	for _, c := range *document.Components {
		known = append(known, c.BOMRef)
	}
	for _, d := range *document.Dependencies {
		for _, ref := range append(*d.Dependencies, d.Ref) {
			if !slices.Contains(known, ref) {
				t.Errorf("reference %q leads nowhere", ref)
			}
		}
	}
}

func TestSameImageHasTheSameBill(t *testing.T) {
	var documents [2][]byte
	for i := range documents {
		document, err := sbom.Describe("program", image(t))
		if err != nil {
			t.Fatal(err)
		}
		if documents[i], err = document.JSON(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(documents[0], documents[1]) {
		t.Error("two bills of one image differ")
	}
}

func TestBillNeedsAGoProgram(t *testing.T) {
	for name, files := range map[string][]oci.File{
		"there is none":       nil,
		"the file is no such": {{Path: "program", Mode: 0o755, Content: []byte("#!/bin/sh")}},
	} {
		if document, err := sbom.Describe("program", &oci.Image{Files: files}); err == nil {
			t.Errorf("%s: %+v", name, document)
		}
	}
}
