using System.Net;
using System.Text;
using IotHub.Functions.Hosting;
using IotHub.Functions.Networks;
using IotHub.Functions.Networks.Rest;
using IotHub.Functions.Networks.Sigfox;
using Microsoft.Extensions.Logging.Console;

namespace IotHub.Functions;

/// <summary>Builds the web application that the Functions host talks to. Tests build the same one, with other storage.</summary>
public static class FunctionsHost
{
    /// <summary>The host itself refuses bodies above 100 MiB; what a function takes is limited where it reads.</summary>
    public const long MaximumRequestBytes = 104_857_600;

    /// <param name="storage">Which drivers to use: <see cref="Composition"/>.</param>
    public static WebApplication Build(FunctionsSettings settings, Action<IServiceCollection> storage)
    {
        // The empty builder reads no ASPNETCORE_* variables and no appsettings: what the platform's images put there cannot move us.
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, settings.Port);
            kestrel.Limits.MaxRequestBodySize = MaximumRequestBytes;
            kestrel.AddServerHeader = false;
            // One character per byte, decoded by Ingest: see Utf8Header.
            kestrel.RequestHeaderEncodingSelector = name =>
                name.Equals(Ingest.TopicHeader, StringComparison.OrdinalIgnoreCase) ? Encoding.Latin1 : null;
        });
        AddLogging(builder.Logging);
        builder.Services.AddRouting();
        builder.Services.AddSingleton(settings);
        builder.Services.AddSingleton(TimeProvider.System);
        builder.Services.AddSingleton<Invocations>();
        builder.Services.AddIngest();
        builder.Services.AddOutgoing();
        builder.Services.AddDelivery();
        builder.Services.AddTwins();
        builder.Services.AddEvents();
        builder.Services.AddManagementApi();
        storage(builder.Services);

        var app = builder.Build();
        app.Use(AnswerReadiness);
        app.UseMiddleware<InvocationScope>();
        app.UseMiddleware<HttpInvocations>();
        app.UseRouting();
        app.MapInvocations(FunctionList.All);
        app.MapHealth();
        app.MapRestIngest();
        app.MapSigfoxIngest();
        app.MapManagementApi();
        return app;
    }

    // One record is one line: the host makes a log record of each line, and an error of each line on standard error.
    private static void AddLogging(ILoggingBuilder logging)
    {
        logging.SetMinimumLevel(LogLevel.Information);
        logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);
        logging.AddFilter("Azure", LogLevel.Warning);
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.IncludeScopes = true;
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
        logging.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Error);
    }

    // GET / is asked every 25 ms at start, and later as a health ping: nothing may stand before it.
    private static Task AnswerReadiness(HttpContext context, RequestDelegate next) =>
        context.Request.Path == "/" && (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method))
            ? Invocations.Answer(context, StatusCodes.Status200OK, "{}")
            : next(context);

    private static void MapInvocations(this WebApplication app, IEnumerable<FunctionDefinition> functions)
    {
        var invocations = app.Services.GetRequiredService<Invocations>();
        foreach (var function in functions.Where(function => function is not HttpFunction))
        {
            app.MapPost("/" + function.Name, context => invocations.Invoke(context, function));
        }
    }
}
