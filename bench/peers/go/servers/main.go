// The same servers in Go: servers http ADDRESS, servers echo ADDRESS.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	kind, address := os.Args[1], os.Args[2]
	if kind == "http" {
		http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok\n")) })
		log.Fatal(http.ListenAndServe(address, nil))
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			part := make([]byte, 4096)
			for {
				n, err := c.Read(part)
				if err != nil {
					return
				}
				if _, err := c.Write(part[:n]); err != nil {
					return
				}
			}
		}()
	}
}
