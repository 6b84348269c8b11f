// Simulator serves a fake of the Cloudflare Tunnel API, including live logs, to programs in any
// language. Additional endpoints start and stop a replica of cloudflared, and log a line:
//
//	POST /simulator/connectors
//	     {"token":"eyJ…"}
//	     The response is {"connector_id":"…"}.
//	DELETE /simulator/connectors/{connector_id}
//	POST /simulator/connectors/{connector_id}/logs
//	     {"level":"info","event":"http","message":"…","fields":{…}}
//
// The simulator rejects requests whose Host is not this machine. Otherwise a web page could send
// requests to it through a domain name that resolves to this machine. -allow-host allows another
// host, such as the name of a container.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// Exit codes. The flag package also uses 2 for a bad command line.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings is the command line.
type settings struct {
	addr, account, token string
	tls                  bool
	zone                 string
	quota                int
	window               time.Duration
	allowHosts           []string
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := s.flags(stderr)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage // Parse has printed the reason
	}
	if err := s.check(flags); err != nil {
		fmt.Fprintln(stderr, "simulator:", err)
		return exitUsage
	}
	if err := serve(ctx, s, stdout); err != nil {
		fmt.Fprintln(stderr, "simulator:", err)
		return exitFailed
	}
	return 0
}

func (s *settings) flags(stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("simulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: simulator [flags]\n\n"+
			"Serves a fake of the Cloudflare Tunnel API until it is interrupted, and prints the\n"+
			"environment variables that programs need to use it.\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8787",
		"`address` to listen on; port 0 selects a free port")
	flags.Func("allow-host",
		"another `host` that requests may be for, in addition to localhost; may be repeated",
		s.allowHost)
	flags.StringVar(&s.account, "account", "",
		"account `ID`, 32 hexadecimal digits (default: a random ID)")
	flags.StringVar(&s.token, "token", "", "API `token` to accept (default: a random token)")
	flags.BoolVar(&s.tls, "tls", false,
		"serve HTTPS, with a new certificate whose path is printed")
	flags.StringVar(&s.zone, "zone", "example.com", "`name` of the account's DNS zone")
	flags.IntVar(&s.quota, "quota", 1200, "`requests` allowed in a window; 0 allows any number")
	flags.DurationVar(&s.window, "window", 5*time.Minute,
		"`length` of the quota's window, and of the rejection after the quota is exceeded")
	return flags
}

// allowHost adds the value of -allow-host, a host without a port.
func (s *settings) allowHost(host string) error {
	if host == "" || strings.ContainsAny(host, "/ ") || hostOf(host) != normalHost(host) {
		return errors.New("must be a name or an address, without a scheme and a port")
	}
	s.allowHosts = append(s.allowHosts, normalHost(host))
	return nil
}

// check checks the command line. The client checks the account and the token.
func (s *settings) check(flags *flag.FlagSet) error {
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.quota < 0:
		return fmt.Errorf("-quota is %d; it cannot be negative", s.quota)
	case s.window <= 0:
		return fmt.Errorf("-window is %s; it must be positive", s.window)
	}
	if s.account != "" {
		token, account := cftunnel.WithAPIToken("any"), cftunnel.WithAccountID(s.account)
		if _, err := cftunnel.NewClient(token, account); err != nil {
			return fmt.Errorf("-account: %w", err)
		}
	}
	if s.token != "" {
		if _, err := cftunnel.NewClient(cftunnel.WithAPIToken(s.token)); err != nil {
			return fmt.Errorf("-token: %w", err)
		}
	}
	return checkZone(s.zone)
}

// checkZone checks the name of the zone. SeedZone panics if the name is invalid.
func checkZone(name string) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("-zone must be a name such as example.com")
		}
	}()
	tunneltest.NewServer().SeedZone(name)
	return nil
}

// serve serves the fake until ctx ends.
func serve(ctx context.Context, s settings, stdout io.Writer) error {
	opts := []tunneltest.Option{tunneltest.WithRecordLimit(0)} // no records: nothing reads them
	if s.account != "" {
		opts = append(opts, tunneltest.WithAccountID(s.account))
	}
	if s.token != "" {
		opts = append(opts, tunneltest.WithAPIToken(s.token))
	}
	if s.quota > 0 {
		opts = append(opts, tunneltest.WithQuota(s.quota, s.window))
	}
	fake := tunneltest.NewServer(opts...)
	defer fake.Close()

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	address, scheme := localAddr(listener.Addr().(*net.TCPAddr)), "http"
	out := bufio.NewWriter(stdout)
	checked := checkHost(handler(fake), append(s.allowHosts, hostOf(address)))
	server := &http.Server{Handler: checked, ReadHeaderTimeout: time.Minute}
	if s.tls {
		certificate, path, err := certificate(listener.Addr().(*net.TCPAddr).IP, s.allowHosts)
		if err != nil {
			return err
		}
		defer os.RemoveAll(filepath.Dir(path))
		scheme = "https"
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		fmt.Fprintf(out, "export SSL_CERT_FILE=%s\n", path)
		// For cloudflared tail.
		fmt.Fprintf(out, "export TUNNEL_MANAGEMENT_HOSTNAME=%s\n", address)
	}
	// For examples/tail. The library does not read this variable.
	fmt.Fprintf(out, "export CFTUNNEL_LOGS_ENDPOINT=%s://%s\n", scheme, address)
	fmt.Fprintf(out, "export CLOUDFLARE_BASE_URL=%s://%s/client/v4\n", scheme, address)
	fmt.Fprintf(out, "export CLOUDFLARE_ACCOUNT_ID=%s\n", fake.AccountID())
	fmt.Fprintf(out, "export CLOUDFLARE_ZONE_ID=%s\n", fake.SeedZone(s.zone))
	// Only the fake accepts this token.
	fmt.Fprintf(out, "export CLOUDFLARE_API_TOKEN=%s\n", fake.APIToken().Reveal())
	if err := out.Flush(); err != nil {
		return err // nobody can use the simulator without these variables
	}

	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if s.tls {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// checkHost rejects requests whose Host is neither this machine nor an allowed host.
func checkHost(next http.Handler, allowed []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		ip, err := netip.ParseAddr(host)
		isLoopback := host == "localhost" || err == nil && ip.IsLoopback()
		if !isLoopback && !slices.Contains(allowed, host) {
			respond(w, http.StatusForbidden, map[string]string{
				"error": "the request is for another host; allow it with -allow-host",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf returns the host of a Host header, without the port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return normalHost(host)
	}
	return normalHost(header)
}

// normalHost returns a host in lower case, without a final dot and without brackets.
func normalHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// localAddr returns the address for programs on this machine. For an unspecified address it is a
// loopback address, because the client rejects plain http to other addresses.
func localAddr(addr *net.TCPAddr) string {
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", addr.Port)
	}
	return addr.String()
}

// handler serves the API of the fake and the endpoints of the simulator.
func handler(fake *tunneltest.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /simulator/connectors", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Token string `json:"token"`
		}
		limited := http.MaxBytesReader(w, r.Body, 64<<10)
		if err := json.NewDecoder(limited).Decode(&body); err != nil {
			respond(w, http.StatusBadRequest,
				map[string]string{"error": `the body must be {"token":"…"}`})
			return
		}
		if body.Token == "" {
			respond(w, http.StatusBadRequest, map[string]string{"error": "token is empty"})
			return
		}
		id, err := fake.Connect(cftunnel.NewSecret(body.Token))
		if err != nil {
			respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		respond(w, http.StatusOK, map[string]string{"connector_id": id})
	})
	const stop = "DELETE /simulator/connectors/{connector_id}"
	mux.HandleFunc(stop, func(w http.ResponseWriter, r *http.Request) {
		fake.Disconnect(r.PathValue("connector_id"))
		respond(w, http.StatusOK, map[string]string{})
	})
	mux.HandleFunc("POST /simulator/connectors/{connector_id}/logs", logLine(fake))
	api := fake.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A ServeMux would redirect paths with empty segments; the API responds to them.
		if strings.HasPrefix(r.URL.Path, "/simulator/") {
			mux.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// respond writes a response with a JSON body.
func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
