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

	"github.com/cftunnel/cftunnel-go/tunneltest"
)

const (
	// TunnelID is the ID of the tunnel that Get returns.
	TunnelID = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
	// ZoneID is the ID of the zone in which Record creates a record.
	ZoneID = "7c5dae5552338874e5053f2534d2767a"
	// RecordName and RecordTarget are the name and the content of the record that Record creates.
	RecordName   = "blog.example.com"
	RecordTarget = TunnelID + ".cfargotunnel.com"
	// BasePath is the path of the server's base URL.
	BasePath   = "/client/v4"
	pageLength = 1000
)

// Server responds from memory with bodies of the fake, so that it uses little of the measured time.
type Server struct {
	get, create, routes, record []byte
	tunnels                     *tunnelList
	requests                    atomic.Int64
}

// tunnelList is a list of encoded tunnels.
type tunnelList struct {
	text []byte // the tunnels, each followed by a comma
	ends []int  // the position after each comma
}

// NewServer returns a server with accounts of up to this number of tunnels.
func NewServer(tunnels int) (*Server, error) {
	fake := tunneltest.NewServer(
		tunneltest.WithAPIToken(Token), tunneltest.WithAccountID(AccountOf(0)))
	defer fake.Close()
	send := func(method, path, body string) []byte {
		ctx := context.Background()
		r := httptest.NewRequestWithContext(ctx, method, BasePath+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+Token)
		w := httptest.NewRecorder()
		fake.Handler().ServeHTTP(w, r)
		return w.Body.Bytes()
	}
	account := "/accounts/" + fake.AccountID()
	tunnelsPath, routesPath := account+"/cfd_tunnel", account+"/teamnet/routes"
	const secret = "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg="
	s := &Server{
		create: send(http.MethodPost, tunnelsPath, `{"name":"blog","tunnel_secret":"`+secret+`"}`),
	}
	var created struct{ Result struct{ ID string } }
	if err := json.Unmarshal(s.create, &created); err != nil {
		return nil, err
	}
	got := send(http.MethodGet, tunnelsPath+"/"+created.Result.ID, "")
	s.get = bytes.ReplaceAll(got, []byte(created.Result.ID), []byte(TunnelID))
	for n := range pageLength {
		send(http.MethodPost, routesPath, fmt.Sprintf(`{"network":"10.%d.%d.0/24","tunnel_id":%q}`,
			n/256, n%256, created.Result.ID))
	}
	query := fmt.Sprintf("?is_deleted=false&per_page=%d", pageLength)
	s.routes = send(http.MethodGet, routesPath+query, "")
	s.record = send(http.MethodPost, "/zones/"+fake.SeedZone("example.com")+"/dns_records",
		fmt.Sprintf(`{"type":"CNAME","name":%q,"content":%q,"ttl":1,"proxied":true}`,
			RecordName, RecordTarget))
	fake.SeedTunnels(pageLength)
	var err error
	s.tunnels, err = fill(tunnels, send(http.MethodGet, tunnelsPath+query, ""))
	return s, err
}

// fill returns a list that repeats the tunnels of a page with other IDs and names.
func fill(tunnels int, page []byte) (*tunnelList, error) {
	var response struct {
		Result []json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(page, &response); err != nil {
		return nil, err
	}
	s := &tunnelList{}
	for n := range tunnels {
		tunnel := response.Result[n%len(response.Result)]
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

// page returns the tunnels from index from up to, but not including, index to.
func (s *tunnelList) page(from, to int) []byte {
	if from >= to {
		return nil
	}
	start := 0
	if from > 0 {
		start = s.ends[from-1]
	}
	return s.text[start : s.ends[to-1]-1]
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/requests" {
		_, _ = fmt.Fprint(w, s.requests.Load())
		return
	}
	s.requests.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	account, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, BasePath+"/accounts/"), "/")
	tunnel := strings.TrimPrefix(rest, "cfd_tunnel")
	switch {
	case r.URL.Path == BasePath+"/zones/"+ZoneID+"/dns_records":
		write(w, http.StatusOK, s.record)
	case rest == "teamnet/routes":
		write(w, http.StatusOK, s.routes)
	case r.Method == http.MethodPost:
		write(w, http.StatusOK, s.create)
	case tunnel == "":
		s.list(w, r, account)
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
	write(w, http.StatusOK,
		[]byte(`{"success":true,"errors":[],"messages":[],"result":[`), s.tunnels.page(from, to),
		fmt.Appendf(nil, `],"result_info":{"count":%d,"page":%d,"per_page":%d,"total_count":%d}}`,
			to-from, page, perPage, total))
}

// write sends a response. Like the real server, it sends no Content-Length for a long body.
func write(w http.ResponseWriter, status int, parts ...[]byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cf-Ray", "8f2ab4c1d2e3f405-FRA")
	w.WriteHeader(status)
	for _, part := range parts {
		_, _ = w.Write(part)
	}
}

// Run serves on a loopback port until stop returns io.EOF. It writes a line with its base URL to
// started.
func (s *Server) Run(started io.Writer, stop io.Reader) error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s}
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
