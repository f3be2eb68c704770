-- Where the account of an identity at an OpenID provider is looked for; the account itself says which
-- identities open it.
CREATE TABLE identities (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  account TEXT NOT NULL REFERENCES accounts (name),
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_account ON identities (account);
