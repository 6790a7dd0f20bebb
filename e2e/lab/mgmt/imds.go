package mgmt

import (
	"net/http"
	"net/netip"
)

// IMDS is the instance metadata service of all workers: of returns that of one
// of them as the source sees it, which decides the hop limit.
func (n *Network) IMDS(of func(Source) (http.Handler, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		source, ok := n.Source(from.Addr().Unmap())
		if !ok {
			http.Error(w, "no worker has the address "+from.Addr().String(), http.StatusNotFound)
			return
		}
		service, err := of(source)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		service.ServeHTTP(w, r)
	})
}
