package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/machine/machinetest"
)

// awsCommands are what a script does with its account at AWS, an emulator:
//
//	aws fail ACTION CODE TEXT   has the next such call fail
//	aws kills ACTION            has it done, and kills the client: nothing is answered any more
//	aws mend                    answers again
//	aws network WORD            takes the default VPC away (none), or brings it back
//	aws boot ADDRESS FILE       boots a server of another cloud with the user-data of a file
//	aws has I G K               there are so many instances, groups and key pairs
func awsCommands(s *ec2test.Server) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		switch args[0] {
		case "fail":
			s.Fail(ec2test.Fault{Action: args[1], Code: args[2], Text: args[3]})
		case "kills":
			s.Fail(ec2test.Fault{Action: args[1], Done: true, Kills: true})
		case "mend":
			if !s.Mend() {
				ts.Fatalf("no client was killed")
			}
		case "network":
			s.NoVPC(args[1] == "none")
		case "boot":
			root := machinetest.NewFake()
			root.Say(0, "", "true")
			end, err := ec2test.Start(context.Background(), ts.MkAbs("instance"), ec2test.Boot{Address: args[1], Port: s.Port, UserData: ts.ReadFile(args[2])}, root)
			ts.Check(err)
			ts.Defer(end)
			ts.Setenv("PORT", fmt.Sprint(s.Port))
		case "has":
			c := s.Count()
			if got := fmt.Sprint(c.Instances, c.Groups, c.KeyPairs); got != strings.Join(args[1:], " ") {
				ts.Fatalf("instances, groups, key pairs: %s", got)
			}
		default:
			ts.Fatalf("aws does not know %s", args[0])
		}
	}
}
