package ec2

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/terminal"
)

// code is AWS's code of an error, "" for none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isNotYet reports whether a part that was just made is not known everywhere yet.
func isNotYet(err error) bool {
	switch code(err) {
	case "InvalidGroup.NotFound", "InvalidKeyPair.NotFound":
		return true
	}
	return false
}

// explain makes one line of an error of the API, with the next command where there is one.
// A nil error stays nil.
func (e *EC2) explain(what string, err error) error {
	var api smithy.APIError
	if err == nil || !errors.As(err, &api) {
		return e.unanswered(what, err)
	}
	said := fmt.Errorf("aws: %s: %s (%s)", what, message(api), terminal.Line(api.ErrorCode()))
	switch api.ErrorCode() {
	case "InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported":
		return fault.WithHint(fmt.Errorf("%w: %w", said, cloud.ErrNothingFree), "take another --type or --region, or try again later")
	case "VcpuLimitExceeded", "InstanceLimitExceeded":
		return fault.WithHint(said, "the quota of this account is used up: ask for more in AWS's console (Service Quotas), or take a smaller --type")
	case "VPCIdNotSpecified", "DefaultVpcDoesNotExist":
		return e.noVPC(said)
	case "MissingInput":
		return fault.WithHint(said, "aws ec2 create-default-subnet --availability-zone ZONE makes one")
	case "UnauthorizedOperation", "AccessDenied":
		return fault.WithHint(said, "docs/cloud.md has the policy that lets Salvor do what it does")
	case "AuthFailure", "ExpiredToken", "RequestExpired", "InvalidClientTokenId", "SignatureDoesNotMatch":
		return fault.WithHint(said, "aws sts get-caller-identity tries the credentials; aws sso login renews them")
	case "InvalidInstanceType", "InvalidParameterValue":
		return fault.WithHint(said, "aws ec2 describe-instance-types --region "+e.region+" lists the types")
	case "RequestLimitExceeded":
		return fault.WithHint(said, "try again in a minute")
	}
	return said
}

// message is what AWS says, without the part that only it can read.
func message(api smithy.APIError) string {
	text, _, _ := strings.Cut(api.ErrorMessage(), " Encoded authorization failure message:")
	return strings.TrimSuffix(terminal.Line(strings.TrimSpace(text)), ".")
}

// unanswered is an error without an answer of the API.
func (e *EC2) unanswered(what string, err error) error {
	if err == nil {
		return nil
	}
	text := terminal.Line(err.Error())
	if strings.Contains(text, "get identity: get credentials") || strings.Contains(text, "failed to refresh cached credentials") {
		return fault.WithHint(fmt.Errorf("aws: %s: this computer has no credentials for AWS: %w", what, err), "aws configure, or aws sso login, gives it some")
	}
	return fmt.Errorf("aws: %s: %w", what, err)
}
