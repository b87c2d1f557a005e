namespace IotHub.Functions.Api;

/// <summary>
/// An answer of any length that is written while it is made. What fails meanwhile ends the connection, so nobody takes a part for the whole.
/// </summary>
internal sealed record StreamedAnswer(string ContentType, Func<Stream, CancellationToken, Task> Write);
