using IotHub.Broker.Transport;
using Xunit;

namespace IotHub.Unit.Transport;

public sealed class OpenFilesTests
{
    [Theory]
    [InlineData("Max open files            1024                 4096                 files", 768)]
    [InlineData("Max open files            1048576              1048576              files", 943_719)]
    [InlineData("Max open files            100                  100                  files", 1)]
    [InlineData("Max open files            unlimited            unlimited            files", int.MaxValue)]
    [InlineData("Max processes             1024                 4096                 processes", int.MaxValue)]
    public void Clients_get_what_the_process_does_not_need_itself(string line, int left) =>
        Assert.Equal(left, OpenFiles.LeftForClients(["Limit                     Soft Limit           Hard Limit           Units", line]));
}
