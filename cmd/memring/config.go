package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/cmd/settings"
	"github.com/memring/memring/node"
)

// checkCommand says all that is wrong with the settings, and with the files that they name.
func (o *options) checkCommand() *cobra.Command {
	var asJSON bool
	check := &cobra.Command{
		Use:   "check-config",
		Short: "Say all that is wrong with the settings of a node, and with the files that they name. Exit code 1 if anything is.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.load()
			if err == nil { // else it is not known which files are meant
				err = errors.Join(checkMemory(o.memoryMB, os.DirFS("/")), o.openCerts(), o.openTrust(), o.openUsers())
			}
			if asJSON {
				wrong := []string{}
				if err != nil {
					wrong = strings.Split(err.Error(), "\n")
				}
				return errors.Join(err, output.JSON(cmd.OutOrStdout(), map[string]any{"good": err == nil, "wrong": wrong}))
			}
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "the settings are good")
			}
			return err
		},
	}
	o.set.AddTo(check.Flags())
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return check
}

// configCommand shows the settings.
func (o *options) configCommand() *cobra.Command {
	config := &cobra.Command{Use: "config", Short: "Show settings.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	var asJSON bool
	show := &cobra.Command{
		Use:   "print",
		Short: "Print all settings that a node with these flags would have, where each is from, and which may change while it runs.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.load()
			if asJSON {
				return errors.Join(err, output.JSON(cmd.OutOrStdout(), o.set.Values()))
			}
			return errors.Join(err, o.set.Print(cmd.OutOrStdout()))
		},
	}
	o.set.AddTo(show.Flags())
	show.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	config.AddCommand(show, &cobra.Command{
		Use:   "reference",
		Short: "Print a file with every setting, none of them set.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.set.Reference(cmd.OutOrStdout(), referenceAbout, referenceHeadings)
		},
	})
	return config
}

// referenceAbout stands at the head of the file of deploy/memring.yaml.
const referenceAbout = `Settings of memring: memring --config FILE, which is read again on SIGHUP.
Each is a long flag, too (--port 11211), and a variable (MEMRING_PORT=11211): a flag wins over the environment, and that over this file.
memring check-config --config FILE says what is wrong with it, memring config print --config FILE what comes of it.
`

var referenceHeadings = map[string]string{
	"memcached": "---- As memcached's ----",
	"cluster":   "---- The cluster's ----",
	"idle":      "---- Accepted, since memcached has them, and without effect here ----",
}

// reloadSettings reads the file of settings again, and has the node obey what may change while it runs; of the rest it says that it does not. A file with anything
// wrong in it changes nothing.
func (o *options) reloadSettings(change func(node.Live) error) {
	if o.config == "" {
		return
	}
	log := o.node.Log
	next := newOptions(o.getenv)
	o.set.Copy(next.set)
	if err := errors.Join(next.load(), checkMemory(next.memoryMB, os.DirFS("/"))); err != nil {
		log.Warn("no setting is changed: the file has faults", "err", err)
		return
	}
	var live, rest []settings.Change
	for _, c := range o.set.Changes(next.set) {
		if c.Live {
			live = append(live, c)
		} else {
			rest = append(rest, c)
		}
	}
	if !slices.ContainsFunc(live, func(c settings.Change) bool { return c.Name == "idle-timeout" }) {
		next.node.IdleTimeout = o.node.IdleTimeout // -o idle_timeout changes with a restart, as all of -o does
	}
	if err := change(next.node.Live); err != nil {
		log.Warn("no setting is changed", "err", err)
		return
	}
	boundHeap(next.node.MaxBytes, next.node.MaxConns, o.node.MaxItemBytes, o.getenv)
	o.node.Live = next.node.Live
	for _, c := range live {
		o.set.Take(next.set, c.Name)
		log.Info("setting changed", "name", c.Name, "from", c.From, "to", c.To)
	}
	for _, c := range rest {
		log.Warn("setting not changed: it needs a restart", "name", c.Name, "now", c.From, "wanted", c.To)
	}
	if len(live)+len(rest) == 0 {
		log.Info("no setting differs", "config", o.config)
	}
}
