package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	cftunnel "github.com/cftunnel/cftunnel-go"
	"github.com/cftunnel/cftunnel-go/tunneltest"
)

// census is how much was compared.
type census struct{ live, deleted, requests int }

// check holds the books of all workers against the fake's state, read through a client of its own, and against its record of requests.
func (e *epoch) check() (census, error) {
	e.srv.ClearFaults()
	record := e.srv.Requests() // before what is asked here
	c := census{requests: len(record)}
	e.checkRecord(record)

	client, err := e.srv.NewClient()
	if err != nil {
		return c, err
	}
	defer client.CloseIdleConnections()
	for account := range e.clients {
		if client, err = client.ForAccount(e.clients[account].AccountID()); err != nil {
			return c, err
		}
		if err := e.checkAccount(account, client, &c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// booked is the entries of one account in everybody's books.
func (e *epoch) booked(account int) (list []*entry) {
	for _, w := range e.workers {
		for _, entry := range w.entries {
			if entry.account == account {
				list = append(list, entry)
			}
		}
	}
	if common := e.common[account]; common != nil {
		list = append(list, common)
	}
	return list
}

func (e *epoch) checkAccount(account int, client *cftunnel.Client, c *census) error {
	there := map[string]*cftunnel.Tunnel{}
	for _, deleted := range []bool{false, true} {
		for t, err := range client.Tunnels.AllTypes(e.ctx, cftunnel.AllTypesListParams{IsDeleted: &deleted}) {
			if err != nil {
				return err
			}
			there[t.ID] = t
		}
	}
	for _, entry := range e.booked(account) {
		t := there[entry.id]
		if t == nil {
			e.find("tunnel %s, %s, is in the books, and not there", entry.name, entry.id)
			continue
		}
		delete(there, entry.id)
		for _, difference := range entry.differs(t) {
			e.find("tunnel %s: %s", entry.name, difference)
		}
		if entry.deleted {
			c.deleted++
			continue
		}
		c.live++
		if t.IsDeleted() {
			continue
		}
		if err := e.checkTunnel(entry, client); err != nil {
			return err
		}
	}
	for _, t := range there {
		e.find("tunnel %s, %s, is there, and in no books", t.Name, t.ID)
	}
	return nil
}

// checkTunnel compares what a list does not show.
func (e *epoch) checkTunnel(entry *entry, client *cftunnel.Client) error {
	token, err := service(client, entry.kind).Token(e.ctx, entry.id)
	if err != nil {
		return err
	}
	if !entry.token.IsZero() && !entry.sameToken(token, entry.token) {
		e.find("tunnel %s: its token is not that in the books", entry.name)
	}
	config, err := configurationOf(e.ctx, client, entry, nil)
	if err != nil {
		return err
	}
	if config != entry.configured {
		e.find("tunnel %s: its configuration is %v, and in the books %v", entry.name, config, entry.configured)
	}
	connectors, err := connectorsOf(e.ctx, client, entry, nil)
	if err != nil {
		return err
	}
	for _, difference := range entry.differsIn(connectors) {
		e.find("tunnel %s: %s", entry.name, difference)
	}
	return nil
}

// seen is what the record has of one call.
type seen struct {
	requests int
	// posts is those of one path that may have been carried out, looks the lists of it that were read.
	posts, looks map[string]int
}

// checkRecord looks in the fake's record for what was done twice, sent again that may have been done, or not counted.
func (e *epoch) checkRecord(record []tunneltest.Request) {
	attempts, calls, creates := map[string]int{}, map[string]*seen{}, map[string]int{}
	for _, w := range e.workers {
		maps.Copy(attempts, w.attempts)
	}
	for _, r := range record {
		id := r.Header.Get(callHeader)
		n, booked := attempts[id]
		if !booked {
			e.find("%s of no call in the books: %q", r.Operation, id)
		}
		call := calls[id]
		if call == nil {
			call = &seen{posts: map[string]int{}, looks: map[string]int{}}
			calls[id] = call
		}
		call.requests++
		if n > 0 && call.requests > n {
			e.find("call %s: %d requests came, and %d attempts were counted", id, call.requests, n)
		}
		// One without a body is sent again by net/http too, which is counted, and has no bound.
		hasBody := r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut
		if n > 0 && hasBody && call.requests > maxAttempts {
			e.find("call %s: %d requests came, and %d are allowed", id, call.requests, maxAttempts)
		}
		switch {
		case r.Method == http.MethodPost && r.Status != http.StatusTooManyRequests:
			call.posts[r.Path]++
		case r.Method == http.MethodGet && r.Status == http.StatusOK && r.Done:
			call.looks[r.Path]++
		}
		isCreate := r.Method == http.MethodPost && (strings.HasSuffix(r.Path, "/cfd_tunnel") || strings.HasSuffix(r.Path, "/warp_connector"))
		if isCreate && r.Done {
			var body struct{ Name string }
			_ = json.Unmarshal([]byte(r.Body.Reveal()), &body) // it was carried out, so it has a name
			intent := r.Path + " " + body.Name
			if creates[intent]++; creates[intent] > 1 {
				e.find("call %s: %s was created %d times", id, body.Name, creates[intent])
			}
		}
	}
	for id, call := range calls {
		for path, posts := range call.posts {
			// Ensure looks before each. In which order they came does not count: one that was given up may come late.
			if posts > max(1, call.looks[path]) {
				e.find("call %s: POST %s was sent %d times, though it may have been carried out", id, path, posts)
			}
		}
	}
}
