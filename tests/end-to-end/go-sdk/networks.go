package main

import (
	"encoding/base64"
	"encoding/json"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func networks(api *tested, hub *iot.Hub) {
	var made []string
	for _, asked := range []iot.CreateNetworkRequest{
		{Name: "b", Type: iot.NetworkNetworkTypeRest},
		{Name: "a", Type: iot.NetworkNetworkTypeSigfox},
		{Name: "c", Type: iot.NetworkNetworkTypeRest, TopicPrefix: "at/c"},
	} {
		asked := asked
		asked.HubID = hub.ID
		created := must(api.CreateNetwork(&asked))
		network := created.Network
		made = append(made, network.ID)
		equal("as it was asked for", network.Name+network.HubID+network.TopicPrefix, asked.Name+hub.ID+asked.TopicPrefix)
		equal("type", network.Type, asked.Type)
		is("an endpoint and a time", network.Endpoint != "" && network.CreatedAt != nil)
		var secret struct{ NetID, NetKey string }
		ok(json.Unmarshal(must(base64.StdEncoding.DecodeString(created.Secret)), &secret))
		equal("the network that the secret names", secret.NetID, network.ID)
		is("a key", uuid.MatchString(secret.NetKey))
		equal("what is read of it", must(api.GetNetwork(&iot.GetNetworkRequest{NetworkID: network.ID})), network)
	}
	prefix := "at/c"
	found := must(api.ListNetworks(&iot.ListNetworksRequest{HubID: &hub.ID, TopicPrefix: &prefix, Name: scw.StringPtr("c")}))
	equal("networks by prefix and name", int(found.TotalCount), 1)
	orders := []iot.ListNetworksRequestOrderBy{
		iot.ListNetworksRequestOrderByNameAsc, iot.ListNetworksRequestOrderByNameDesc,
		iot.ListNetworksRequestOrderByTypeAsc, iot.ListNetworksRequestOrderByTypeDesc,
		iot.ListNetworksRequestOrderByCreatedAtAsc, iot.ListNetworksRequestOrderByCreatedAtDesc,
	}
	inEveryOrder(made, orders, func(order iot.ListNetworksRequestOrderBy, pageSize *uint32) (ids []string, total int) {
		list := must(api.ListNetworks(&iot.ListNetworksRequest{HubID: &hub.ID, OrderBy: order, PageSize: pageSize}, scw.WithAllPages()))
		for _, network := range list.Networks {
			ids = append(ids, network.ID)
		}
		return ids, int(list.TotalCount)
	})
	untyped := refused[*scw.InvalidArgumentsError](failure(api.CreateNetwork(&iot.CreateNetworkRequest{HubID: hub.ID})))
	equal("the argument that is wrong", untyped.Details[0].ArgumentName, "type")
	for _, id := range made {
		ok(api.DeleteNetwork(&iot.DeleteNetworkRequest{NetworkID: id}))
		gone(failure(api.GetNetwork(&iot.GetNetworkRequest{NetworkID: id})), "network", id)
		gone(api.DeleteNetwork(&iot.DeleteNetworkRequest{NetworkID: id}), "network", id)
	}
}
