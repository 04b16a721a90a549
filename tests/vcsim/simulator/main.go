// Command simulator is a vCenter for tests: govmomi's simulator, with what it lacks of the networking API.
//
// It listens on free ports of 127.0.0.1, writes them to -state, and ends with SIGTERM.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type options struct {
	state, user, password string
	hosts                 int
}

func main() {
	var o options
	flag.StringVar(&o.state, "state", ".", "directory for server.json and certificate.pem")
	flag.StringVar(&o.user, "user", "administrator@vsphere.local", "the administrator; others have the same password")
	flag.StringVar(&o.password, "password", "", "password of all users")
	flag.IntVar(&o.hosts, "hosts", 3, "hosts of the cluster")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) error {
	model := simulator.VPX()
	defer model.Remove()
	extension, err := inventory(model, o)
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	certificate, err := selfSigned(filepath.Join(o.state, "certificate.pem"))
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	service := model.Service
	service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(o.user, o.password)}
	service.Context.Map.SessionManager().ValidLogin = func(login *types.Login) bool { return login.Password == o.password }
	service.NewServer().Close() // it fills the ServeMux, which is all that is wanted of it

	clients, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	tests, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { log.Print(http.Serve(clients, front(service.ServeMux))) }()
	go func() { log.Print(http.Serve(tests, extension.control.handler(service.Context, extension))) }()

	if err := announce(o.state, portOf(clients), portOf(tests)); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}

// announce writes the ports, in one step: who finds the file finds all of it.
func announce(state string, port, control int) error {
	text, err := json.Marshal(map[string]int{"port": port, "control": control})
	if err != nil {
		return err
	}
	unfinished := filepath.Join(state, "server.json.new")
	if err := os.WriteFile(unfinished, text, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, filepath.Join(state, "server.json"))
}

func portOf(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }
