package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// apiToken is what a worker expects of the API token that it manages.
type apiToken struct {
	account  int // index of the client
	id, name string
	secret   cftunnel.Secret // zero if it is lost
}

// tokenStep does one of the things that can be done with a token, or creates one.
func (w *worker) tokenStep() error {
	if w.token == nil {
		return w.createToken()
	}
	steps := []func() error{w.checkToken, w.renameToken, w.rollToken, w.deleteToken}
	return steps[w.rng.IntN(len(steps))]()
}

func (w *worker) tokens() *cftunnel.APITokensService { return w.clients[w.token.account].AccountTokens }

// createToken creates a token. If the response is lost, there may be one, which is found by its name.
func (w *worker) createToken() error {
	w.token = &apiToken{account: w.rng.IntN(len(w.clients)), name: w.newName()}
	account := w.clients[w.token.account].AccountID()
	params := cftunnel.APITokenCreateParams{Name: w.token.name, Policies: []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(account, cftunnel.PermissionCloudflareTunnelRead),
	}}
	callErr := w.call("AccountTokens.Create", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		created, err := w.tokens().Create(ctx, params, opts...)
		if err == nil {
			w.token.id, w.token.secret = created.ID, created.Value
		}
		return err
	})
	var found []cftunnel.APIToken
	err := w.mustRead("FindByName", func(ctx context.Context, opts ...cftunnel.CallOption) (err error) {
		found, err = w.tokens().FindByName(ctx, w.token.name, opts...)
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found) > 1 || callErr == nil && len(found) == 0:
		w.report("create of the API token %s (error %v): there are %d", w.token.name, callErr, len(found))
	case len(found) == 1 && callErr != nil && !errors.Is(callErr, cftunnel.ErrOutcomeUnknown):
		w.report("create of the API token %s was carried out, and its error does not allow that: %v", w.token.name, callErr)
	}
	if len(found) == 0 {
		w.token = nil
		return nil
	}
	w.token.id = found[0].ID
	return w.checkSecret()
}

// checkToken reads the token.
func (w *worker) checkToken() error {
	_ = w.call("AccountTokens.Get", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		got, err := w.tokens().Get(ctx, w.token.id, opts...)
		if err == nil && got.Name != w.token.name {
			w.report("the API token %s has the name %s", w.token.name, got.Name)
		}
		return err
	})
	return w.checkSecret()
}

// checkSecret verifies that the secret works, if it is known.
func (w *worker) checkSecret() error {
	if w.token.secret.IsZero() {
		return nil
	}
	works, err := w.verify(w.token.secret)
	if err == nil && !works {
		w.report("the secret of the API token %s does not work", w.token.name)
	}
	return err
}

// verify reports whether a secret is one of the account's.
func (w *worker) verify(secret cftunnel.Secret) (works bool, err error) {
	account := w.clients[w.token.account].AccountID()
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(w.server.URL+"/client/v4"), cftunnel.WithHTTPClient(&http.Client{Transport: w.transport}),
		cftunnel.WithAPIToken(secret.Reveal()), cftunnel.WithAccountID(account), cftunnel.WithTimeout(w.timeout),
		cftunnel.WithRetry(cftunnel.RetryPolicy{MaxAttempts: maxAttempts, BaseDelay: 2 * time.Millisecond, MaxDelay: 2 * time.Second}),
	)
	if err != nil {
		return false, err
	}
	err = w.mustRead("VerifyAccount", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		_, err := client.Tokens.VerifyAccount(ctx, opts...)
		if works = err == nil; errors.Is(err, cftunnel.ErrUnauthorized) {
			return nil
		}
		return err
	})
	return works, err
}

// renameToken changes the name of the token.
func (w *worker) renameToken() error {
	before, after := w.token.name, w.newName()
	callErr := w.call("AccountTokens.Modify", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		_, err := w.tokens().Modify(ctx, w.token.id, func(p *cftunnel.APITokenUpdateParams) error {
			p.Name = after
			return nil
		}, opts...)
		return err
	})
	err := w.mustRead("AccountTokens.Get", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		got, err := w.tokens().Get(ctx, w.token.id, opts...)
		if err == nil {
			w.token.name = got.Name
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case w.token.name == after && callErr != nil && !errors.Is(callErr, cftunnel.ErrOutcomeUnknown):
		w.report("the API token %s is renamed, and the error does not allow that: %v", before, callErr)
	case w.token.name != after && (callErr == nil || w.token.name != before):
		w.report("the API token %s has the name %s after a change to %s (error %v)", before, w.token.name, after, callErr)
	}
	return w.checkSecret()
}

// rollToken rolls the token. If the response is lost, the old secret tells whether it is rolled.
func (w *worker) rollToken() error {
	old := w.token.secret
	callErr := w.call("AccountTokens.Roll", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		secret, err := w.tokens().Roll(ctx, w.token.id, opts...)
		if err == nil {
			w.token.secret = secret
		}
		return err
	})
	if old.IsZero() {
		return w.checkSecret()
	}
	works, err := w.verify(old)
	switch {
	case err != nil:
		return err
	case works && callErr == nil:
		w.report("the old secret of the API token %s works after a roll", w.token.name)
	case !works && callErr != nil:
		if !errors.Is(callErr, cftunnel.ErrOutcomeUnknown) {
			w.report("the API token %s is rolled, and the error does not allow that: %v", w.token.name, callErr)
		}
		w.token.secret = cftunnel.Secret{}
	}
	return w.checkSecret()
}

// deleteToken deletes the token.
func (w *worker) deleteToken() error {
	callErr := w.call("AccountTokens.Delete", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		return w.tokens().Delete(ctx, w.token.id, opts...)
	})
	gone := false
	err := w.mustRead("AccountTokens.Get", func(ctx context.Context, opts ...cftunnel.CallOption) error {
		_, err := w.tokens().Get(ctx, w.token.id, opts...)
		if gone = errors.Is(err, cftunnel.ErrNotFound); gone {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case gone && callErr != nil && !errors.Is(callErr, cftunnel.ErrOutcomeUnknown):
		w.report("the API token %s is deleted, and the error does not allow that: %v", w.token.name, callErr)
	case !gone && callErr == nil:
		w.report("the API token %s is there after it was deleted", w.token.name)
	}
	if gone {
		w.token = nil
	}
	return nil
}

// compareTokens compares the tokens of an account with those that the workers expect.
func (c *round) compareTokens(account int) error {
	names := map[string]string{} // by id
	for token, err := range c.clients[account].AccountTokens.All(c.ctx, cftunnel.APITokenListParams{IncludeExpired: true}) {
		if err != nil {
			return err
		}
		names[token.ID] = token.Name
	}
	for _, w := range c.workers {
		if w.token == nil || w.token.account != account {
			continue
		}
		if names[w.token.id] != w.token.name {
			c.report("the API token %s has the name %q", w.token.name, names[w.token.id])
		}
		delete(names, w.token.id)
	}
	for _, name := range names {
		c.report("the API token %s is unexpected", name)
	}
	return nil
}
