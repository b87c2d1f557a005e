using IotHub.Local.StandInHost;
using Xunit;

namespace IotHub.Unit.Local;

public sealed class RequestForwarderTests
{
    [Theory]
    [InlineData("/api/hello/wörld x", "/api/hello/w%C3%B6rld%20x")]
    [InlineData("/a%b?c#d", "/a%25b%3Fc%23d")]
    [InlineData("/a%2Fb%2fc", "/a%2Fb%2fc")]
    [InlineData("/-._~!$&'()*+,;=:@/", "/-._~!$&'()*+,;=:@/")]
    public void Path_is_escaped_again_where_it_needs_it(string path, string encoded) =>
        Assert.Equal(encoded, RequestForwarder.EncodePath(path));
}
