// Command memring is one node of a memcached cluster; its subcommands ask a running cluster about itself.
//
//	defaults < --config < MEMRING_* < flags -> node.Config -> node.Start -> a signal -> Stop
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/backup"
	"github.com/memring/memring/cmd/client"
	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/cmd/settings"
	"github.com/memring/memring/cmd/top"
	"github.com/memring/memring/cmd/user"
	"github.com/memring/memring/node"
)

// build names the commit; the linker sets it (Makefile, "build").
var build = ""

func main() {
	if err := command(os.Getenv, serve).Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "memring:", err)
		os.Exit(output.ExitCode(err))
	}
}

// command gives the whole command line. Without a subcommand it is the server, run by serve. getenv reads the environment.
func command(getenv func(string) string, serve func(*options) error) *cobra.Command {
	o := newOptions(getenv)
	asking := o.askingFlags()
	root := &cobra.Command{
		Use:           "memring",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Lookup("config") != nil {
				return nil // a command that reads all settings, when it runs
			}
			return settings.Variables(cmd.Flags(), prefix, getenv)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.version:
				return printVersion(cmd.OutOrStdout())
			case o.license:
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "memring is free software under the Apache License 2.0; see LICENSE.")
				return err
			}
			if err := o.load(); err != nil {
				return err
			}
			return serve(o)
		},
	}
	root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"}) // -h is enough
	root.Flags().AddFlagSet(asking)
	o.set.AddTo(root.Flags())
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if cmd != root {
			printHelpOf(cmd)
			return
		}
		printHelp(cmd.OutOrStdout(), o, asking)
	})
	root.AddCommand(cluster.Command(defaultPort), top.Command(defaultPort), user.Command(), o.checkCommand(), o.configCommand(), versionCommand())
	root.AddCommand(client.Commands(defaultPort, node.Default().AdminListen)...)
	root.AddCommand(backup.Commands(defaultPort, revision())...)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return output.Exit(output.Usage, err) })
	checkArgs(root)
	return root
}

// checkArgs gives arguments that a command does not take the exit code for that, in all commands.
func checkArgs(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(cmd *cobra.Command, args []string) error { return output.Exit(output.Usage, check(cmd, args)) }
	}
	for _, below := range command.Commands() {
		checkArgs(below)
	}
}

// printHelpOf prints the help of a subcommand.
func printHelpOf(cmd *cobra.Command) {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short)), cmd.UseLine())
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			fmt.Fprintf(w, "  %-36s %s\n", below.CommandPath(), below.Short)
		}
	}
	if flags := cmd.Flags().FlagUsagesWrapped(helpColumns); flags != "" {
		fmt.Fprintf(w, "\n%s", flags)
	}
}

func versionCommand() *cobra.Command {
	var asJSON bool
	version := &cobra.Command{Use: "version", Short: "Print the version.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if !asJSON {
			return printVersion(cmd.OutOrStdout())
		}
		return output.JSON(cmd.OutOrStdout(), map[string]string{
			"version": revision(), "memcached": node.Default().Version, "go": runtime.Version(), "platform": platform,
		})
	}}
	version.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return version
}

// helpColumns is the width that help is wrapped to.
const helpColumns = 120

func printHelp(w io.Writer, o *options, asking *pflag.FlagSet) {
	usages := func(group *pflag.FlagSet) string { return group.FlagUsagesWrapped(helpColumns) }
	fmt.Fprintf(w, `memring %s: a memcached cluster that stays warm

Usage:
  memring [flags]                       run one node
  memring cluster members [--addr A]    who is in the cluster
  memring cluster moves [--addr A]      what a member takes over and hands over now
  memring cluster owner KEY [--addr A]  which member answers for a key
  memring cluster explain KEY           where a key lives, and why it is there or not
  memring cluster status [--addr A]     how the cluster is: members, moves, what differs
  memring cluster drain MEMBER          have a member hand over all it has and leave; needs -A
  memring cluster forget MEMBER         reckon no more with one that is gone for good
  memring get|set|delete|touch KEY      one key, through any node; set takes a value, or standard input
  memring incr|decr KEY [DELTA]         a number
  memring stats [GROUP]                 what a node has counted; GROUP cluster: all of them together
  memring top                           what each node and all together do, live
  memring watch [KIND...]               what happens on a node, as it happens
  memring health                        whether this machine's node is ready, for probes of containers
  memring completion bash|zsh|fish      a script that completes all this
  memring backup --to FILE|DIR          write all items of the cluster to a file, with --key-file encrypted
  memring restore FILE                  bring them back, into a cluster of any size
  memring user add FILE USER            a user for -Y or -S, with --rights and --prefix
  memring user passwd|remove FILE USER  another password; or none
  memring user list FILE                who may do what
  memring check-config [flags]          what is wrong with the settings: all of it, with file and line
  memring config print [flags]          all settings, where each is from, and which may change while a node runs
  memring config reference              a file with every setting, none of them set
  memring version                       which build this is

With --json they print JSON. Exit codes: 0 done, there, or well; 1 it is not: a miss, refused, problems; 2 the command line
cannot be understood; 3 the node cannot be reached, or lets nobody in; 4 not done within --timeout, and going on.

Memcached's flags:
%s%s
The cluster's:
%s
Words of -o:
%s
Accepted, since memcached has them, and checked, but without effect here:
%s
      -o %s

Every long flag may be given in the environment too: --peer-port as MEMRING_PEER_PORT; and in the file of --config, as
peer-port: 7000. A flag wins over the environment, and that over the file; words of -o add up. SIGHUP has the file,
certificates, keys and users read again.
When $MEMCACHED_PORT_FILENAME names a file, the ports for clients are written there once they are open.
Of the ports for members and for HTTP, those that no flag names give way to any free one when taken.
Started as root without -u it stays root, and says so; -u root says that this is meant.
`, revision(), usages(o.set.Group("memcached")), usages(asking), usages(o.set.Group("cluster")), usagesOf(o.words()), usages(o.set.Group("idle")), idleWords(o.words()))
}

// usagesOf tells the words of -o that have an effect, one a line.
func usagesOf(words []word) string {
	var text strings.Builder
	for _, w := range words {
		switch {
		case w.about == "":
		case w.value == "":
			fmt.Fprintf(&text, "      %-30s %s\n", w.name, w.about)
		default:
			fmt.Fprintf(&text, "      %-30s %s\n", w.name+"="+w.value, w.about)
		}
	}
	return text.String()
}

// idleWords names the other words, in lines of a width, but for the forms with no_ that switch them off.
func idleWords(words []word) string {
	var lines []string
	line := ""
	for _, w := range words {
		switch {
		case !w.idle || strings.HasPrefix(w.name, "no_"):
			continue
		case len(line)+len(w.name) > helpColumns-12:
			lines, line = append(lines, line), ""
		}
		line += w.name + " "
	}
	return strings.Join(append(lines, line+"(most have a form with no_)"), "\n         ")
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "memring %s (answers as memcached %s; %s %s)\n", revision(), node.Default().Version, runtime.Version(), platform)
	return err
}

const platform = runtime.GOOS + "/" + runtime.GOARCH

// revision names the build: by the linker, else by what Go has recorded.
func revision() string {
	if build != "" {
		return build
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return "unknown"
}
