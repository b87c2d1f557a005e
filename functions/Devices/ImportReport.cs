using System.Buffers;
using System.Text.Json.Nodes;
using IotHub.Functions.Api;

namespace IotHub.Functions.Devices;

/// <summary>What became of one line of an import.</summary>
/// <param name="Status"><c>created</c> or <c>refused</c>.</param>
internal sealed record ImportReport(int Line, string? Name, string Status, Guid? DeviceId, IssuedAnswer? Certificate, JsonObject? Problem);

/// <summary>The last line of an import's report.</summary>
/// <param name="Problem">Why the import ended before its text did; lines that are not reported were not looked at.</param>
internal sealed record ImportSummary(int Lines, int Created, int Refused, JsonObject? Problem);

/// <summary>
/// Sends lines of JSON while a request is still being read. Many clients, and the proxy of the Functions host, do not read an answer before
/// they have sent the whole request: to wait for them would be to wait for ever. So until the request is read nothing waits, and
/// what nobody takes yet is kept; an import has a bounded number of lines.
/// </summary>
internal sealed class EarlyAnswer(Stream output)
{
    private ArrayBufferWriter<byte> _kept = new();
    private Task _sending = Task.CompletedTask;

    public void Write<T>(T line)
    {
        _kept.Write(ApiJson.Write(line));
        _kept.Write("\n"u8);
    }

    /// <summary>Hands over what is written, if what was handed over before is on its way.</summary>
    /// <exception cref="IOException">Nobody is there any more.</exception>
    public async ValueTask Send(CancellationToken cancel)
    {
        if (!_sending.IsCompleted)
        {
            return;
        }
        await _sending;
        var next = _kept;
        _kept = new ArrayBufferWriter<byte>();
        _sending = Hand(next.WrittenMemory, cancel);
    }

    /// <summary>Waits until all is on its way.</summary>
    public async Task Finish(CancellationToken cancel)
    {
        await _sending;
        await Hand(_kept.WrittenMemory, cancel);
    }

    private async Task Hand(ReadOnlyMemory<byte> lines, CancellationToken cancel)
    {
        await output.WriteAsync(lines, cancel);
        await output.FlushAsync(cancel);
    }
}
