package main

import (
	"context"
	"errors"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

func (w *worker) create() error {
	e := &entry{account: w.rng.IntN(len(w.clients)), name: w.newName(), kind: cftunnel.TunnelTypeCloudflared}
	params := w.params(e.name)
	made, err := call(w, "Create", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.client(e).Tunnels.Create(ctx, params, o...)
	})
	return w.enter("Create", e, params.Secret, made, err)
}

func (w *worker) params(name string) cftunnel.TunnelCreateParams {
	params := cftunnel.TunnelCreateParams{Name: name}
	if w.chance(50) {
		params.ConfigSource = cftunnel.ConfigSourceCloudflare
	}
	if w.chance(50) {
		params.Secret = cftunnel.NewTunnelSecret()
	}
	return params
}

// enter books a new tunnel, or that there is none.
func (w *worker) enter(name string, e *entry, secret cftunnel.Secret, made *cftunnel.Tunnel, err error) error {
	if err != nil {
		found, lookErr := w.lookFor(e)
		if lookErr != nil {
			return lookErr
		}
		w.resolve(name, err, found != nil)
		if found == nil {
			return nil
		}
		made = found
	}
	e.id, e.token, e.replicas, e.config = made.ID, made.Token, map[string]bool{}, text(cftunnel.TunnelConfig{})
	if e.isWARP() {
		e.config = text(cftunnel.WARPConfigurationParams{HAMode: cftunnel.HAModeNone})
	}
	w.entries = append(w.entries, e)
	if e.token.IsZero() {
		var lookErr error
		if e.token, lookErr = w.lookToken(e); lookErr != nil {
			return lookErr
		}
	}
	for _, difference := range e.differs(made) {
		w.find("%s of %s: %s", name, e.name, difference)
	}
	if secret.IsZero() {
		return nil
	}
	if credentials, err := cftunnel.ParseTunnelToken(e.token); err != nil || credentials.Secret != secret {
		w.find("%s of %s: its token is not of the secret that was sent", name, e.name)
	}
	return nil
}

// lookFor finds the live tunnel of an entry's name, or nil.
func (w *worker) lookFor(e *entry) (*cftunnel.Tunnel, error) {
	return look(w, "All", func(ctx context.Context, o options) (found *cftunnel.Tunnel, err error) {
		for t, err := range w.service(e).All(ctx, cftunnel.TunnelListParams{Name: e.name}, o...) {
			if err != nil {
				return nil, err
			}
			found = t
		}
		return found, nil
	})
}

func (w *worker) lookAt(e *entry) (*cftunnel.Tunnel, error) {
	return look(w, "Get", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.service(e).Get(ctx, e.id, o...)
	})
}

func (w *worker) lookToken(e *entry) (cftunnel.Secret, error) {
	return look(w, "Token", func(ctx context.Context, o options) (cftunnel.Secret, error) {
		return w.service(e).Token(ctx, e.id, o...)
	})
}

func (w *worker) lookConnectors(e *entry) ([]cftunnel.Connector, error) {
	return look(w, "Connectors", func(ctx context.Context, o options) ([]cftunnel.Connector, error) {
		return connectorsOf(ctx, w.client(e), e, o)
	})
}

// ensured is what Ensure returns beside its error.
type ensured struct {
	tunnel  *cftunnel.Tunnel
	created bool
}

func (w *worker) callEnsure(account int, params cftunnel.TunnelCreateParams) (ensured, error) {
	return call(w, "Ensure", func(ctx context.Context, o options) (ensured, error) {
		t, created, err := w.clients[account].Tunnels.Ensure(ctx, params, o...)
		return ensured{t, created}, err
	})
}

func (w *worker) ensure() error {
	e := &entry{account: w.rng.IntN(len(w.clients)), name: w.newName(), kind: cftunnel.TunnelTypeCloudflared}
	params := w.params(e.name)
	got, err := w.callEnsure(e.account, params)
	if err == nil && got.created == got.tunnel.Token.IsZero() {
		w.find("Ensure of %s: created is %t, and whether there is no token the same", e.name, got.created)
	}
	return w.enter("Ensure", e, params.Secret, got.tunnel, err)
}

func (w *worker) ensureAgain(e *entry) error {
	got, err := w.callEnsure(e.account, w.params(e.name))
	if err == nil && (got.created || got.tunnel.ID != e.id) {
		w.find("Ensure of %s, which is there: created is %t, the tunnel %s", e.name, got.created, got.tunnel.ID)
	}
	return nil
}

// ensureCommon ensures a tunnel that all workers ensure.
func (w *worker) ensureCommon() error {
	account := w.rng.IntN(len(w.clients))
	got, err := w.callEnsure(account, cftunnel.TunnelCreateParams{Name: commonName})
	if err == nil {
		w.enterCommon(account, got)
	}
	return nil
}

func (w *worker) get(e *entry) error {
	if w.chance(20) { // a deleted one
		if gone := w.dead(); gone != nil {
			e = gone
		}
	}
	t, err := call(w, "Get", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.service(e).Get(ctx, e.id, o...)
	})
	if err == nil {
		for _, difference := range e.differs(t) {
			w.find("Get of %s: %s", e.name, difference)
		}
	}
	return nil
}

// dead returns one of the deleted tunnels, or nil.
func (w *worker) dead() *entry {
	if len(w.entries) == 0 {
		return nil
	}
	if e := w.entries[w.rng.IntN(len(w.entries))]; e.deleted {
		return e
	}
	return nil
}

// list reads all of the worker's own tunnels in one account: live or deleted, of one kind or of all, with pages of any length.
func (w *worker) list() error {
	account, deleted, prefix, perPage := w.rng.IntN(len(w.clients)), w.chance(25), w.name+"-", w.rng.IntN(8)
	kind := []cftunnel.TunnelType{"", cftunnel.TunnelTypeCloudflared, cftunnel.TunnelTypeWARPConnector}[w.rng.IntN(3)]
	client, name := w.clients[account], "All"
	if kind == "" {
		name = "AllTypes"
	}
	found, err := call(w, name, func(ctx context.Context, o options) (map[string]*cftunnel.Tunnel, error) {
		found := map[string]*cftunnel.Tunnel{}
		all := client.Tunnels.AllTypes(ctx, cftunnel.AllTypesListParams{IncludePrefix: prefix, IsDeleted: &deleted, PerPage: perPage}, o...)
		if kind != "" {
			all = service(client, kind).All(ctx, cftunnel.TunnelListParams{IncludePrefix: prefix, IsDeleted: &deleted, PerPage: perPage}, o...)
		}
		for t, err := range all {
			if err != nil {
				return nil, err
			}
			found[t.ID] = t
		}
		return found, nil
	})
	if err != nil {
		return nil
	}
	for _, e := range w.entries {
		if e.account != account || e.deleted != deleted || kind != "" && e.kind != kind {
			continue
		}
		if t := found[e.id]; t == nil {
			w.find("%s: %s is not in the list", name, e.name)
		} else if differences := e.differs(t); len(differences) > 0 {
			w.find("%s: %s: %v", name, e.name, differences)
		}
		delete(found, e.id)
	}
	for _, t := range found {
		w.find("%s: %s is in the list, and in no books", name, t.Name)
	}
	return nil
}

func (w *worker) findByName(e *entry) error {
	name, wanted := e.name, e.id
	if w.chance(30) {
		name, wanted = w.newName(), "" // nobody makes it
	}
	t, err := call(w, "FindByName", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.client(e).Tunnels.FindByName(ctx, name, o...)
	}, cftunnel.ErrNotFound)
	switch {
	case errors.Is(err, cftunnel.ErrNotFound) && wanted != "":
		w.find("FindByName: %s, which is there, was not found", name)
	case err == nil && t.ID != wanted:
		w.find("FindByName: %s is %s, and in the books %q", name, t.ID, wanted)
	}
	return nil
}

func (w *worker) rename(e *entry) error {
	name := w.newName()
	_, err := call(w, "Update", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.service(e).Update(ctx, e.id, cftunnel.TunnelUpdateParams{Name: name}, o...)
	})
	if err != nil {
		t, lookErr := w.lookAt(e)
		if lookErr != nil {
			return lookErr
		}
		w.resolve("Update", err, t.Name == name)
		if t.Name != name {
			return nil
		}
	}
	e.name = name
	return nil
}

// clash asks for a name that is taken, which must change nothing.
func (w *worker) clash(e *entry) error {
	other := w.anyLive(func(other *entry) bool { return other != e && other.account == e.account })
	name, do := "Create", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.client(e).Tunnels.Create(ctx, cftunnel.TunnelCreateParams{Name: e.name}, o...)
	}
	if other != nil {
		name, do = "Update", func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
			return w.service(other).Update(ctx, other.id, cftunnel.TunnelUpdateParams{Name: e.name}, o...)
		}
	}
	if _, err := call(w, name, do, cftunnel.ErrTunnelNameTaken); err == nil {
		w.find("%s: the name %s, which is taken, was given once more", name, e.name)
	}
	return nil
}

func (w *worker) readToken(e *entry) error {
	var expected []error
	if gone := w.dead(); gone != nil && w.chance(10) {
		e, expected = gone, []error{cftunnel.ErrNotFound}
	}
	token, err := call(w, "Token", func(ctx context.Context, o options) (cftunnel.Secret, error) {
		return w.service(e).Token(ctx, e.id, o...)
	}, expected...)
	switch {
	case err == nil && e.deleted:
		w.find("Token of %s, which is deleted: there is one", e.name)
	case err == nil && !e.sameToken(token, e.token):
		w.find("Token of %s: it is not that in the books", e.name)
	}
	return nil
}

func (w *worker) managementToken(e *entry) error {
	resources := []cftunnel.ManagementResource{
		cftunnel.ManagementResourceLogs, cftunnel.ManagementResourceAdmin, cftunnel.ManagementResourceHostDetails,
	}
	token, err := call(w, "ManagementToken", func(ctx context.Context, o options) (cftunnel.Secret, error) {
		return w.client(e).Tunnels.ManagementToken(ctx, e.id, resources[w.rng.IntN(len(resources))], o...)
	})
	if err == nil && token.IsZero() {
		w.find("ManagementToken of %s: it is empty", e.name)
	}
	return nil
}

func (w *worker) verify() error {
	client := w.clients[w.rng.IntN(len(w.clients))]
	if w.chance(50) {
		_, err := call(w, "VerifyAccount", func(ctx context.Context, o options) (*cftunnel.TokenVerification, error) {
			return client.Tokens.VerifyAccount(ctx, o...)
		}, cftunnel.ErrUnauthorized)
		if err == nil {
			w.find("VerifyAccount: a user's token is one of the account")
		}
		return nil
	}
	v, err := call(w, "Verify", func(ctx context.Context, o options) (*cftunnel.TokenVerification, error) {
		return client.Tokens.Verify(ctx, o...)
	})
	if err == nil && (!v.Usable(time.Now()) || v.Owner != cftunnel.TokenOwnerUser) {
		w.find("Verify: the token is %s, of the %s", v.Status, v.Owner)
	}
	return nil
}

// rotate gives a tunnel a new secret, so that the replicas that run have an old token.
func (w *worker) rotate(e *entry) error {
	params := cftunnel.RotateParams{CleanupConnections: !e.isWARP() && w.chance(40)}
	if w.chance(50) {
		params.Secret = cftunnel.NewTunnelSecret()
	}
	r, err := call(w, "RotateSecret", func(ctx context.Context, o options) (*cftunnel.Rotation, error) {
		return w.service(e).RotateSecret(ctx, e.id, params, o...)
	})
	var token cftunnel.Secret
	rotated := r != nil && r.Tunnel != nil
	if rotated {
		token = r.Token
	}
	if token.IsZero() {
		var lookErr error
		if token, lookErr = w.lookToken(e); lookErr != nil {
			return lookErr
		}
		if !rotated {
			w.resolve("RotateSecret", err, !e.sameToken(token, e.token))
			if e.sameToken(token, e.token) {
				return nil
			}
			if r != nil && !e.sameToken(token, r.Token) {
				w.find("RotateSecret of %s: the token is neither the old nor the new one", e.name)
			}
		}
	}
	e.old, e.token = e.token, token
	for id := range e.replicas {
		e.replicas[id] = false
	}
	if !params.CleanupConnections || !rotated {
		return nil
	}
	return w.recount("RotateSecret", e, err, func(string) bool { return true })
}

// delete deletes a tunnel in one of the ways that there are.
func (w *worker) delete(e *entry) error {
	if w.chance(50) {
		for id := range e.replicas {
			w.srv.Disconnect(id)
		}
		e.replicas, e.active = map[string]bool{}, ""
	}
	name, cascade := "Delete", w.chance(50)
	do := func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
		return w.service(e).Delete(ctx, e.id, cftunnel.TunnelDeleteParams{Cascade: cascade}, o...)
	}
	if !e.isWARP() && w.chance(60) {
		name, cascade = "CleanupAndDelete", false
		do = func(ctx context.Context, o options) (*cftunnel.Tunnel, error) {
			return w.client(e).Tunnels.CleanupAndDelete(ctx, e.id, o...)
		}
	}
	var expected []error
	if len(e.replicas) > 0 && !cascade {
		expected = append(expected, cftunnel.ErrActiveConnections)
	}
	_, err := call(w, name, do, expected...)
	deleted := err == nil
	if err != nil {
		t, lookErr := w.lookAt(e)
		if lookErr != nil {
			return lookErr
		}
		deleted = t.IsDeleted()
		w.resolve(name, err, deleted)
	}
	switch {
	case deleted && name == "Delete" && len(expected) > 0:
		w.find("Delete of %s: it is deleted, though %d replicas run it", e.name, len(e.replicas))
		fallthrough
	case deleted:
		e.deleted, e.replicas, e.active = true, map[string]bool{}, ""
	case name == "CleanupAndDelete":
		// It may have cleaned up, and tells of the deletion alone.
		return w.recount("", e, nil, func(string) bool { return true })
	}
	return nil
}
