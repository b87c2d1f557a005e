using System.Net;
using IotHub.Functions.Outgoing;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Delivery;

public sealed class GuardedConnectorTests
{
    private static readonly AddressPolicy LoopbackOnly = new([IPNetwork.Parse("127.0.0.1/32")]);

    private static GuardedConnector Resolving(AddressPolicy policy, params string[] addresses) =>
        new(policy, (_, _) => Task.FromResult(addresses.Select(IPAddress.Parse).ToArray()));

    [Fact]
    public async Task The_connection_goes_to_the_address_that_was_checked()
    {
        await using var target = await TestHttpServer.Start();
        using var http = Resolving(LoopbackOnly, "127.0.0.1").NewHttpClient();
        var answer = await http.GetAsync(new Uri($"http://a-name-that-no-resolver-knows.invalid:{target.Url.Port}/x"));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal($"a-name-that-no-resolver-knows.invalid:{target.Url.Port}", Assert.Single(target.Received).Header("Host"));
    }

    [Theory]
    [InlineData("169.254.169.254")]
    [InlineData("10.0.0.1", "192.168.0.1", "fe80::1")]
    [InlineData("127.0.0.2")]
    public async Task A_name_with_only_refused_addresses_is_refused(params string[] addresses)
    {
        using var http = Resolving(LoopbackOnly, addresses).NewHttpClient();
        var e = await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync(new Uri("http://rebinding.example.com/")));
        Assert.IsType<AddressRefusedException>(e.InnerException);
        Assert.DoesNotContain(addresses[0], e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Refused_addresses_are_skipped_and_dead_ones_are_passed_over()
    {
        await using var target = await TestHttpServer.Start();
        var policy = new AddressPolicy([IPNetwork.Parse("127.0.0.0/8")]);
        // Nothing listens on 127.0.0.9: the next one is tried.
        using var http = Resolving(policy, "10.0.0.1", "127.0.0.9", "127.0.0.1").NewHttpClient();
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri($"http://two.example.com:{target.Url.Port}/"))).StatusCode);
    }

    [Theory]
    [InlineData("http://127.0.0.1:{0}/")]
    [InlineData("http://[::ffff:127.0.0.1]:{0}/")]
    [InlineData("http://2130706433:{0}/")]
    [InlineData("http://0x7f.1:{0}/")]
    [InlineData("http://localhost:{0}/")]
    public async Task No_spelling_of_an_address_leads_past_the_check(string url)
    {
        await using var target = await TestHttpServer.Start();
        using var http = new GuardedConnector(new AddressPolicy([])).NewHttpClient();
        var e = await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync(
            new Uri(string.Format(System.Globalization.CultureInfo.InvariantCulture, url, target.Url.Port))));
        Assert.IsType<AddressRefusedException>(e.InnerException);
        Assert.Empty(target.Received);
    }
}
