package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	cftunnel "github.com/cftunnel/cftunnel-go"
)

// apiToken is the expected state of the API token that a worker manages.
type apiToken struct {
	account  int // the index of the client
	id, name string
	secret   cftunnel.Secret // zero if it is unknown
}

// carriedOut is the format of a problem.
const carriedOut = "%s of API token %s was carried out, but its error is not ErrOutcomeUnknown: %v"

// tokenStep creates the worker's API token, or does a random step with it.
func (w *worker) tokenStep() error {
	if w.token == nil {
		return w.createToken()
	}
	steps := []func() error{w.checkToken, w.renameToken, w.rollToken, w.deleteToken}
	return steps[w.rng.IntN(len(steps))]()
}

func (w *worker) tokens() *cftunnel.APITokensService {
	return w.clients[w.token.account].AccountTokens
}

// createToken creates a token. It then looks for the token by name, since it may exist even if the
// response was lost.
func (w *worker) createToken() error {
	w.token = &apiToken{account: w.rng.IntN(len(w.clients)), name: w.newName()}
	account := w.clients[w.token.account].AccountID()
	params := cftunnel.APITokenCreateParams{Name: w.token.name, Policies: []cftunnel.TokenPolicy{
		cftunnel.AccountPolicy(account, cftunnel.PermissionCloudflareTunnelRead),
	}}
	callErr := w.call("AccountTokens.Create", func(ctx context.Context, opts ...option) error {
		created, err := w.tokens().Create(ctx, params, opts...)
		if err == nil {
			w.token.id, w.token.secret = created.ID, created.Value
		}
		return err
	})
	var found []cftunnel.APIToken
	err := w.mustRead("FindByName", func(ctx context.Context, opts ...option) (err error) {
		found, err = w.tokens().FindByName(ctx, w.token.name, opts...)
		return err
	})
	switch {
	case err != nil:
		return err
	case len(found) > 1 || callErr == nil && len(found) == 0:
		w.report("Create of API token %s (error %v): %d tokens exist",
			w.token.name, callErr, len(found))
	case len(found) == 1 && callErr != nil && !errors.Is(callErr, cftunnel.ErrOutcomeUnknown):
		w.report(carriedOut, "Create", w.token.name, callErr)
	}
	if len(found) == 0 {
		w.token = nil
		return nil
	}
	w.token.id = found[0].ID
	return w.checkSecret()
}

// checkToken gets the token and compares its name.
func (w *worker) checkToken() error {
	_ = w.call("AccountTokens.Get", func(ctx context.Context, opts ...option) error {
		got, err := w.tokens().Get(ctx, w.token.id, opts...)
		if err == nil && got.Name != w.token.name {
			w.report("API token has the name %s, want %s", got.Name, w.token.name)
		}
		return err
	})
	return w.checkSecret()
}

// checkSecret checks that the secret is valid, if it is known.
func (w *worker) checkSecret() error {
	if w.token.secret.IsZero() {
		return nil
	}
	valid, err := w.verify(w.token.secret)
	if err == nil && !valid {
		w.report("the secret of API token %s is not valid", w.token.name)
	}
	return err
}

// verify reports whether the account has an API token with this secret.
func (w *worker) verify(secret cftunnel.Secret) (valid bool, err error) {
	account := w.clients[w.token.account].AccountID()
	client, err := cftunnel.NewClient(
		cftunnel.WithBaseURL(w.server.URL+"/client/v4"),
		cftunnel.WithHTTPClient(&http.Client{Transport: w.transport}),
		cftunnel.WithAPIToken(secret.Reveal()), cftunnel.WithAccountID(account),
		cftunnel.WithTimeout(w.timeout),
		cftunnel.WithRetry(cftunnel.RetryPolicy{
			MaxAttempts: maxAttempts, BaseDelay: 2 * time.Millisecond, MaxDelay: 2 * time.Second,
		}),
	)
	if err != nil {
		return false, err
	}
	err = w.mustRead("VerifyAccount", func(ctx context.Context, opts ...option) error {
		_, err := client.Tokens.VerifyAccount(ctx, opts...)
		if valid = err == nil; errors.Is(err, cftunnel.ErrUnauthorized) {
			return nil
		}
		return err
	})
	return valid, err
}

func (w *worker) renameToken() error {
	before, after := w.token.name, w.newName()
	callErr := w.call("AccountTokens.Modify", func(ctx context.Context, opts ...option) error {
		_, err := w.tokens().Modify(ctx, w.token.id, func(p *cftunnel.APITokenUpdateParams) error {
			p.Name = after
			return nil
		}, opts...)
		return err
	})
	err := w.mustRead("AccountTokens.Get", func(ctx context.Context, opts ...option) error {
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
		w.report(carriedOut, "Modify", before, callErr)
	case w.token.name != after && (callErr == nil || w.token.name != before):
		w.report("API token %s has the name %s after Modify to %s (error %v)",
			before, w.token.name, after, callErr)
	}
	return w.checkSecret()
}

// rollToken rolls the token. If the response is lost, it checks the old secret to find out whether
// the token was rolled.
func (w *worker) rollToken() error {
	old := w.token.secret
	callErr := w.call("AccountTokens.Roll", func(ctx context.Context, opts ...option) error {
		secret, err := w.tokens().Roll(ctx, w.token.id, opts...)
		if err == nil {
			w.token.secret = secret
		}
		return err
	})
	if old.IsZero() {
		return w.checkSecret()
	}
	valid, err := w.verify(old)
	switch {
	case err != nil:
		return err
	case valid && callErr == nil:
		w.report("the old secret of API token %s is valid after Roll", w.token.name)
	case !valid && callErr != nil:
		if !errors.Is(callErr, cftunnel.ErrOutcomeUnknown) {
			w.report(carriedOut, "Roll", w.token.name, callErr)
		}
		w.token.secret = cftunnel.Secret{}
	}
	return w.checkSecret()
}

func (w *worker) deleteToken() error {
	callErr := w.call("AccountTokens.Delete", func(ctx context.Context, opts ...option) error {
		return w.tokens().Delete(ctx, w.token.id, opts...)
	})
	gone := false
	err := w.mustRead("AccountTokens.Get", func(ctx context.Context, opts ...option) error {
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
		w.report(carriedOut, "Delete", w.token.name, callErr)
	case !gone && callErr == nil:
		w.report("API token %s exists after Delete", w.token.name)
	}
	if gone {
		w.token = nil
	}
	return nil
}

// compareTokens compares the API tokens of an account with the models of the workers.
func (c *round) compareTokens(account int) error {
	names := map[string]string{} // by ID
	params := cftunnel.APITokenListParams{IncludeExpired: true}
	for token, err := range c.clients[account].AccountTokens.All(c.ctx, params) {
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
			c.report("API token has the name %q, want %q", names[w.token.id], w.token.name)
		}
		delete(names, w.token.id)
	}
	for _, name := range names {
		c.report("API token %s is unexpected", name)
	}
	return nil
}
