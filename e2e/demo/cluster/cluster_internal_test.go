package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTablesLoseTheirWideColumns(t *testing.T) {
	columns, rows := plain(metav1.Table{
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "IP", Priority: 1}, {Name: "Restarts"}},
		Rows:              []metav1.TableRow{{Cells: []any{"upf-1", "10.10.12.21", 0}}, {Cells: []any{"upf-2", "<none>", 3}}},
	})
	if diff := cmp.Diff([]string{"NAME", "RESTARTS"}, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"upf-1", "0"}, {"upf-2", "3"}}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestCertificateIsTrustedByItsBundle(t *testing.T) {
	dir := t.TempDir()
	bundle, err := writeCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}
}
