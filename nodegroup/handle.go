package nodegroup

import (
	"context"

	"github.com/multus-ipmgr/multus-ipmgr/nodegroup/event"
)

// Handle reads an event and does what it asks for.
func (f *Function) Handle(ctx context.Context, data []byte) error {
	e, err := event.Read(data, f.Settings.Hooks)
	switch {
	case err != nil:
		f.Log.Error("event cannot be read", keyError, err)
	case e.Purpose == event.Sweep:
		if _, err = f.Sweep(ctx); err != nil {
			f.Log.Error("sweep failed", keyError, err)
		}
	default:
		_, err = f.Serve(ctx, e)
	}
	return err
}
