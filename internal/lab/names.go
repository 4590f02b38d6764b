package lab

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const dnsPort = 53

func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// The names under which connectors look for the edge. Source: cloudflared, edgediscovery.
const (
	edgeService = "_v2-origintunneld._tcp.argotunnel.com."
	edgeDomain  = ".v2.argotunnel.com."
)

// name answers a question of connectors about the edge.
func (c *Cloudflare) name(q dnsmessage.Question) ([]dnsmessage.ResourceBody, bool) {
	switch name := q.Name.String(); {
	case name == edgeService && q.Type == dnsmessage.TypeSRV:
		var all []dnsmessage.ResourceBody
		for _, region := range []string{"region1", "region2"} {
			all = append(all, &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(region + edgeDomain), Port: connectorPort, Weight: 1, Priority: 1})
		}
		return all, true
	case strings.HasSuffix(name, edgeDomain) && q.Type == dnsmessage.TypeA:
		return []dnsmessage.ResourceBody{&dnsmessage.AResource{A: netip.MustParseAddr(c.gateway).As4()}}, true
	default:
		return nil, name == edgeService || strings.HasSuffix(name, edgeDomain)
	}
}

// resolve serves DNS to machines that are made later, for the names that answer knows: their
// containers don't see their hosts file. Other names don't exist.
func (i *internet) resolve(ctx context.Context, answer func(dnsmessage.Question) ([]dnsmessage.ResourceBody, bool)) error {
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", at(i.gateway, dnsPort))
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	i.flags = append(i.flags, "--dns", i.gateway)
	go answerNames(conn, answer)
	return nil
}

// answerNames serves DNS until the connection is closed.
func answerNames(conn net.PacketConn, answer func(dnsmessage.Question) ([]dnsmessage.ResourceBody, bool)) {
	question := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(question)
		if err != nil {
			return
		}
		if reply, err := replyTo(question[:n], answer); err == nil {
			_, _ = conn.WriteTo(reply, from) // who gets none asks again
		}
	}
}

// replyTo makes the reply to a DNS message with one question.
func replyTo(message []byte, answer func(dnsmessage.Question) ([]dnsmessage.ResourceBody, bool)) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	bodies, known := answer(q)
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}, Questions: []dnsmessage.Question{q}}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range bodies {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: body})
	}
	return reply.Pack()
}
