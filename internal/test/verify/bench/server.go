package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// What the server knows.
const (
	TunnelID   = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	UnknownID  = "00000000-a4ef-4643-bbbc-4a0ed4fc8415"
	BasePath   = "/client/v4"
	connectors = 50
	replicas   = 25 // that a tunnel can have
	pageLength = 1000
)

// Server answers from memory, with bodies that the fake made once, so that next to nothing of what is measured is its own.
type Server struct {
	get, create, unknown, connectors []byte
	tunnels                          *shelf

	requests, connections atomic.Int64
}

// Counts is what a server has seen.
type Counts struct{ Requests, Connections int64 }

// shelf holds encoded tunnels, one after the other with commas between.
type shelf struct {
	text []byte
	ends []int
}

// NewServer makes the bodies. It has accounts of up to so many tunnels.
func NewServer(tunnels int) (*Server, error) {
	fake := tunneltest.NewServer(tunneltest.WithAPIToken(Token), tunneltest.WithAccountID(AccountOf(0)))
	defer fake.Close()
	ask := func(method, path, body string) []byte {
		r := httptest.NewRequestWithContext(context.Background(), method, BasePath+"/accounts/"+fake.AccountID()+"/cfd_tunnel"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+Token)
		w := httptest.NewRecorder()
		fake.Handler().ServeHTTP(w, r)
		return w.Body.Bytes()
	}
	s := &Server{
		create:  ask(http.MethodPost, "", `{"name":"blog","tunnel_secret":"AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg="}`),
		unknown: ask(http.MethodGet, "/"+UnknownID, ""),
	}
	var created struct{ Result struct{ ID, Token string } }
	if err := json.Unmarshal(s.create, &created); err != nil {
		return nil, err
	}
	s.get = ask(http.MethodGet, "/"+created.Result.ID, "")
	var err error
	if s.connectors, err = manyConnectors(fake, created.Result.ID, created.Result.Token, ask); err != nil {
		return nil, err
	}
	fake.SeedTunnels(pageLength)
	s.tunnels, err = fill(tunnels, ask(http.MethodGet, fmt.Sprintf("?is_deleted=false&per_page=%d", pageLength), ""))
	return s, err
}

// manyConnectors lists the replicas of a tunnel, again and again, since it cannot have so many.
func manyConnectors(fake *tunneltest.Server, tunnelID, token string, ask func(method, path, body string) []byte) ([]byte, error) {
	var answer struct {
		Success  bool              `json:"success"`
		Errors   []any             `json:"errors"`
		Messages []any             `json:"messages"`
		Result   []json.RawMessage `json:"result"`
	}
	for range replicas {
		if _, err := fake.Connect(cftunnel.NewSecret(token)); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(ask(http.MethodGet, "/"+tunnelID+"/connections", ""), &answer); err != nil {
		return nil, err
	}
	for len(answer.Result) < connectors {
		answer.Result = append(answer.Result, answer.Result...)
	}
	answer.Result = answer.Result[:connectors]
	return json.Marshal(answer)
}

// fill takes a page of tunnels and goes on with the same under other ids and names.
func fill(tunnels int, page []byte) (*shelf, error) {
	var answer struct {
		Result []json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(page, &answer); err != nil {
		return nil, err
	}
	s := &shelf{}
	for n := range tunnels {
		tunnel := answer.Result[n%len(answer.Result)]
		var names struct{ ID, Name string }
		if err := json.Unmarshal(tunnel, &names); err != nil {
			return nil, err
		}
		text := bytes.Replace(tunnel, []byte(names.ID[:8]), fmt.Appendf(nil, "%08x", n), 1)
		text = bytes.Replace(text, []byte(names.Name), fmt.Appendf(nil, "seed-%05d", n), 1)
		s.text = append(append(s.text, text...), ',')
		s.ends = append(s.ends, len(s.text))
	}
	return s, nil
}

// page is a list of those from one on, up to another.
func (s *shelf) page(from, to int) []byte {
	if from >= to {
		return nil
	}
	start := 0
	if from > 0 {
		start = s.ends[from-1]
	}
	return s.text[start : s.ends[to-1]-1]
}

// Counts returns what the server has seen so far.
func (s *Server) Counts() Counts { return Counts{s.requests.Load(), s.connections.Load()} }

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/counts" {
		_ = json.NewEncoder(w).Encode(s.Counts())
		return
	}
	s.requests.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	account, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, BasePath+"/accounts/"), "/")
	tunnel := strings.TrimPrefix(rest, "cfd_tunnel")
	switch {
	case r.Method == http.MethodPost:
		write(w, http.StatusOK, s.create)
	case tunnel == "":
		s.list(w, r, account)
	case strings.HasSuffix(tunnel, "/connections"):
		write(w, http.StatusOK, s.connectors)
	case tunnel == "/"+UnknownID:
		write(w, http.StatusNotFound, s.unknown)
	default:
		write(w, http.StatusOK, s.get)
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, account string) {
	total64, _ := strconv.ParseInt(account, 16, 64)
	total := min(int(total64), len(s.tunnels.ends))
	query := r.URL.Query()
	page, _ := strconv.Atoi(query.Get("page"))
	perPage, _ := strconv.Atoi(query.Get("per_page"))
	page, perPage = cmp.Or(page, 1), cmp.Or(perPage, pageLength)
	from := min((page-1)*perPage, total)
	to := min(from+perPage, total)
	write(w, http.StatusOK, []byte(`{"success":true,"errors":[],"messages":[],"result":[`), s.tunnels.page(from, to),
		fmt.Appendf(nil, `],"result_info":{"count":%d,"page":%d,"per_page":%d,"total_count":%d}}`, to-from, page, perPage, total))
}

// write leaves the length of a long body unsaid, as the real server does.
func write(w http.ResponseWriter, status int, parts ...[]byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cf-Ray", "8f2ab4c1d2e3f405-FRA")
	w.WriteHeader(status)
	for _, part := range parts {
		_, _ = w.Write(part)
	}
}

// Run serves on a loopback port until stop is closed by its writer. It writes its base URL to started, one line.
func (s *Server) Run(started io.Writer, stop io.Reader) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}}
	go func() {
		_, _ = io.Copy(io.Discard, stop)
		_ = server.Close()
	}()
	if _, err := fmt.Fprintln(started, "http://"+listener.Addr().String()+BasePath); err != nil {
		return err
	}
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
