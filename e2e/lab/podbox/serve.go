package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// pingTimeout is how long an echo may take. It takes 0.5 ms.
const pingTimeout = time.Second

func serve(address string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /addresses", addresses)
	mux.HandleFunc("GET /ping", pingFor)
	mux.HandleFunc("GET /metadata", metadataFor)
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

func addresses(w http.ResponseWriter, r *http.Request) {
	i, err := net.InterfaceByName(r.FormValue("interface"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	list, err := i.Addrs()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, a := range list {
		fmt.Fprintln(w, a)
	}
}

func pingFor(w http.ResponseWriter, r *http.Request) {
	to, err := netip.ParseAddr(r.FormValue("to"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := ping(to, pingTimeout); err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
