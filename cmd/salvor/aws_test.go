package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/cloud"
	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/machine/machinetest"
)

// awsVariable is the port of SSH on all instances of a script.
const awsVariable = "SALVOR_TEST_AWS_PORT"

// scriptServers are the instances of a script.
func scriptServers() cloud.Site {
	port, err := strconv.Atoi(os.Getenv(awsVariable))
	if err != nil {
		return cloud.Site{}
	}
	return cloud.Site{Port: port, Poll: time.Millisecond}
}

type awsKey struct{}

// setupAWS gives a script an account at AWS, an emulator.
func setupAWS(env *testscript.Env, s *ec2test.Server) {
	env.Values[awsKey{}] = s
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_EC2": s.URL(), "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
		awsVariable: strconv.Itoa(s.Port),
	} {
		env.Setenv(name, value)
	}
}

// awsCommands are what a script does with its account at AWS:
//
//	aws fail ACTION CODE TEXT   has the next such call fail
//	aws kills ACTION            has it done, and kills the client: nothing is answered any more
//	aws mend                    answers again
//	aws network WORD            takes the default VPC away (none), or brings it back
//	aws boot ADDRESS FILE       boots a server of another cloud with the user-data of a file
//	aws has I G K               there are so many instances, groups and key pairs
//	aws called ACTION           fails unless there was such a call
func awsCommands(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(awsKey{}).(*ec2test.Server)
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
	case "called":
		if slices.Contains(s.Calls(), args[1]) == neg {
			ts.Fatalf("calls: %q", s.Calls())
		}
	default:
		ts.Fatalf("aws does not know %s", args[0])
	}
}
