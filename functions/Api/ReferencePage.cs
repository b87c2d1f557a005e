namespace IotHub.Functions.Api;

/// <summary>
/// A page that shows the description of the API and tries its operations. It takes everything from this server, and its policy lets the
/// browser take nothing from elsewhere.
/// </summary>
internal static class ReferencePage
{
    public const string Path = "/iot/reference/";

    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly (string Name, string Resource, string ContentType)[] Files =
    [
        ("", "index.html", "text/html; charset=utf-8"),
        ("reference.js", "reference.js", "text/javascript; charset=utf-8"),
        ("reference.css", "reference.css", "text/css; charset=utf-8"),
    ];

    public static void MapReferencePage(this IEndpointRouteBuilder app)
    {
        foreach (var (name, resource, contentType) in Files)
        {
            app.MapGet(Path + name, context => Serve(context, resource, contentType));
        }
    }

    private static async Task Serve(HttpContext context, string resource, string contentType)
    {
        // Relative addresses in the page need the slash at the end of its own.
        if (resource == "index.html" && !context.Request.Path.Value!.EndsWith('/'))
        {
            context.Response.Redirect(Path);
            return;
        }
        var headers = context.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "no-referrer";
        headers.CacheControl = "no-cache";
        await using var file = typeof(ReferencePage).Assembly.GetManifestResourceStream("reference/" + resource)
            ?? throw new InvalidOperationException($"{resource} is not in the program");
        context.Response.ContentType = contentType;
        context.Response.ContentLength = file.Length;
        await file.CopyToAsync(context.Response.Body, context.RequestAborted);
    }
}
