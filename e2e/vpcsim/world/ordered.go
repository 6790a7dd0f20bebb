package world

import (
	"slices"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/lag"
)

// ordered is a map that remembers the order in which keys were added. A key
// that was removed must not be added again.
type ordered[T any] struct {
	keys  []string // also those of removed ones, until they are the most
	value map[string]T
}

func (o *ordered[T]) set(key string, v T) {
	if o.value == nil {
		o.value = map[string]T{}
	}
	if _, known := o.value[key]; !known {
		o.keys = append(o.keys, key)
	}
	o.value[key] = v
}

func (o *ordered[T]) remove(key string) {
	delete(o.value, key)
	if len(o.keys) > 2*len(o.value)+16 { // so that removing costs little on the whole
		o.keys = slices.DeleteFunc(o.keys, func(k string) bool { _, known := o.value[k]; return !known })
	}
}

// removeOldest removes the n keys that were added first.
func (o *ordered[T]) removeOldest(n int) {
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool {
		_, known := o.value[k]
		if known && n > 0 {
			delete(o.value, k)
			n--
			known = false
		}
		return !known
	})
}

func (o *ordered[T]) list() []T {
	out := make([]T, 0, len(o.value))
	for _, k := range o.keys {
		if v, known := o.value[k]; known {
			out = append(out, v)
		}
	}
	return out
}

// grave is something that is gone, and that some view may still show.
type grave struct {
	at     lag.Moment
	forget func()
}

// bury has something forgotten once no view shows it any more.
func (w *World) bury(at lag.Moment, forget func()) {
	w.graves = append(w.graves, grave{at, forget})
	now, settled := w.now(), 0
	for _, g := range w.graves {
		if !g.at.Settled(now) {
			break
		}
		g.forget()
		settled++
	}
	clear(w.graves[:settled])
	w.graves = w.graves[settled:]
}
