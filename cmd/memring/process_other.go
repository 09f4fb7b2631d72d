//go:build !linux

package main

import "errors"

var errNotHere = errors.New("not on this system")

func raiseCoreLimit() error { return errNotHere }

func keepCoreDumps() {}

func lockMemory() error { return errNotHere }
