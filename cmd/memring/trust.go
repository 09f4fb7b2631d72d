package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/certfiles"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/identity"
)

// trustFlags are those of how members know each other.
func trustFlags(t *node.Trust, set *pflag.FlagSet) {
	set.StringVar(&t.KeyFile, "cluster-key-file", "", "a `FILE` with the key that all members have, by which they encrypt what they say and know each other; of several, a line "+
		"each, the first is used and all are accepted")
	set.StringVar(&t.ChainFile, "peer-tls-cert", "", "PEM `FILE` of this node's certificate for other members, for its --id, instead of one made by the cluster key")
	set.StringVar(&t.CertKeyFile, "peer-tls-key", "", "PEM `FILE` of its private key (default: it is in --peer-tls-cert)")
	set.StringVar(&t.AuthorityFile, "peer-tls-ca", "", "PEM `FILE` of the authorities that sign the certificates of members, and nobody else's")
	set.BoolVar(&t.Insecure, "insecure-peers", false, "open the ports for members without --cluster-key-file where other machines reach them; else a node alone has them on loopback")
}

// openTrust reads the cluster keys, and the certificates for members.
func (o *options) openTrust() error {
	t := &o.node.Trust
	if t.KeyFile == "" && t.ChainFile == "" {
		return nil
	}
	if t.ChainFile != "" {
		t.Certs = certs.New(certs.Config{})
		err := o.follow(certfiles.Certificates("certificates for other members",
			certfiles.Flag{Name: "--peer-tls-cert", Path: t.ChainFile},
			certfiles.Flag{Name: "--peer-tls-key", Path: t.CertKeyFile},
			certfiles.Flag{Name: "--peer-tls-ca", Path: t.AuthorityFile},
			false, t.Certs, o.node.Log))
		if err != nil {
			return err
		}
	}
	t.Identity = identity.New(identity.Config{Cluster: o.node.Cluster, ID: o.node.ID, Certs: t.Certs})
	if t.KeyFile == "" {
		return nil
	}
	return o.follow(certfiles.Config{
		Name:   "cluster keys",
		Flags:  []certfiles.Flag{{Name: "--cluster-key-file", Path: t.KeyFile, Secret: true}},
		Load:   func(files []certs.File) error { return t.Identity.LoadKeys(files[0]) },
		Failed: t.Identity.Failed,
		Tell:   func() { o.node.Log.Info("cluster keys loaded", "accepted", t.Identity.Keys()) },
		Log:    o.node.Log,
	})
}

// follow reads files for the first time, and has them read again later.
func (o *options) follow(cfg certfiles.Config) error {
	files, err := certfiles.Open(cfg)
	if err != nil {
		return err
	}
	o.files = append(o.files, files)
	return nil
}

// refresh reads all that is followed again, and tells what has come of it.
func (o *options) refresh() error {
	var errs []error
	for _, files := range o.files {
		errs = append(errs, files.Refresh())
	}
	return errors.Join(errs...)
}
