package nodes

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// data is the symbolic link by which a kubelet swaps all files of a volume at
// once.
const data = "..data"

// volume is the directory of a mounted Secret.
type volume struct {
	dir   string
	files map[string][]byte // as they are now
}

// write makes files the volume's content, as a kubelet does: into a directory of
// their own, to which a symbolic link then leads. No reader sees half of it.
func (v *volume) write(files map[string][]byte) error {
	if v.files != nil && maps.EqualFunc(v.files, files, bytes.Equal) {
		return nil
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	version, err := os.MkdirTemp(v.dir, "..version-")
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(version, name), content, 0o600); err != nil {
			return err
		}
		link := filepath.Join(v.dir, name)
		if err := os.Symlink(filepath.Join(data, name), link); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	before, _ := os.Readlink(filepath.Join(v.dir, data)) // none at first
	next := filepath.Join(v.dir, "..next")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(v.dir, data)); err != nil {
		return err
	}
	v.files = files
	if before == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(v.dir, before))
}

// mount writes a Secret's files. It says whether there is such a Secret.
func (p *pod) mount(ctx context.Context, v *volume, secret string) (bool, error) {
	s, err := p.nodes.client.CoreV1().Secrets(p.of.Namespace).Get(ctx, secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, v.write(s.Data)
}

// follow keeps the files up to date until ctx ends.
func (p *pod) follow(ctx context.Context, v *volume, secret string) {
	for tick := time.NewTicker(remount); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			_, err := p.mount(ctx, v, secret)
			p.nodes.complain(ctx, "volume of pod "+p.of.Name, err)
		}
	}
}
