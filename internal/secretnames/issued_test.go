package secretnames

import "testing"

func TestIssued(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"shop/SMTP_PASSWORD": true, "shop/MAIL_PW": true, "cloudflare_token": true, "shop/OIDC_CLIENT_SECRET": true, "group.yml/ldap.bind": true,
		"smtp/DB_PASSWORD": false, "shop/POSTGRES_PASSWORD": false, "shop/SESSION_SECRET": false, "vault_password": false, "shop/MAILBOX_KEY": false,
	} {
		if got := Issued(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
