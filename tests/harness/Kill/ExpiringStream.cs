using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace IotHub.Harness.Kill;

/// <summary>What one publisher of messages that may expire has said, numbered from 0, and when.</summary>
internal sealed class ExpiringStream(Random random)
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    /// <summary>Guards the messages.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Under the gate.</summary>
    public List<ExpiringMessage> Said { get; } = [];

    /// <summary>Since the run began.</summary>
    public TimeSpan Now => _clock.Elapsed;

    /// <summary>The first are one of each kind, the others of any.</summary>
    public (int Number, ExpiringMessage Message) Next()
    {
        lock (Gate)
        {
            var number = Said.Count;
            var kind = number < ExpiringMessage.Kinds ? number : random.Next(ExpiringMessage.Kinds);
            Said.Add(ExpiringMessage.Of(kind, random));
            return (number, Said[number]);
        }
    }

    public static byte[] Payload(int number) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number}"));

    public static int Read(ReadOnlyMemory<byte> payload) => int.Parse(payload.Span, CultureInfo.InvariantCulture);

    /// <summary>For a client's <c>OnSending</c>.</summary>
    public void Sending(long number)
    {
        lock (Gate)
        {
            var message = Said[(int)number];
            message.FirstSend = message.Sends++ == 0 ? Now : message.FirstSend;
        }
    }

    /// <summary>For a client's <c>OnAcknowledged</c>.</summary>
    public void Acknowledged(long number)
    {
        lock (Gate)
        {
            Said[(int)number].Acknowledged = Now;
        }
    }
}
