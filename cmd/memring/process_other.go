//go:build !linux

package main

import "errors"

var errNotHere = errors.New("not on this system")

func raiseCoreLimit() error { return errNotHere }

func keepCoreDumps() {}

func forgetStart() {}

func lockMemory() error { return errNotHere }
